"""Raw first: immutable blobs by their digest, and append-only records that point to them."""
