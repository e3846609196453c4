"""python -m drportal.lab"""

from drportal.lab.cli import main

raise SystemExit(main())
