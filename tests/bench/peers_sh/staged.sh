#!/bin/bash
# staged.sh POOL/IMAGE...: demote them one after the other, then promote them so; they replay at the same time.
for step in leave arrive; do
    for image in "$@"; do
        "$(dirname "$0")/move_image.sh" "$step" "$image" || exit 1
    done
done
