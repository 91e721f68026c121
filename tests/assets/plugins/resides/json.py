raise AssertionError("the standard library has this name")
