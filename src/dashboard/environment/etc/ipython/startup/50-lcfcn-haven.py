# Every IPython kernel of the environment runs this first, see lcfcn_haven/__init__.py. It leaves no name behind.
__import__("lcfcn_haven").install()
