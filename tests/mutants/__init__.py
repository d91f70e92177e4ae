"""Do the tests notice when the code is broken on purpose?"""
