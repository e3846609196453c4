#!/usr/bin/env python3
"""The portal's command line: Django's commands and the operators' own (plan, run, verdict, lab, poller, worker)."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drportal.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
