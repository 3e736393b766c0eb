"""The pages: plain ES modules, styles and markup, one folder a page.

There is no Python here; app/http/pages.py serves it.
"""
