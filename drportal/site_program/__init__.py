"""What runs at a site's end of the SSH connection. The protocol is in ``docs/site-program.md``.

Written as a few modules and sent, or installed, as one file: ``assemble.program_text()``. All of it but ``assemble``
runs under the site's own Python 3.6 or later, with nothing but its standard library (and python3-rados and python3-rbd
where they are installed).
"""
