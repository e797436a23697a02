"""The tests: folders mirror the package, `support` holds what several of them build with."""
