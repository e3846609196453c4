#!/bin/bash
# xargs.sh POOL/IMAGE...: eight images at a time.
printf '%s\n' "$@" | xargs -P 8 -n 1 "$(dirname "$0")/move_image.sh" both
