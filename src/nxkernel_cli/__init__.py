"""The command line: each module is one noun; it parses, calls one public function and prints."""
