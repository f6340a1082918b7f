#!/usr/bin/env bash
# Runs the model of the outbox: right as it is, wrong without any one of its guards. Prints TAP.
#   tests/model/check.sh [--long]     --long: three senders
set -u
model=$(cd "$(dirname "$0")" && pwd)/outbox.pml
work=$(mktemp -d /tmp/muster-model.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
number=0 failed=0

# verify TITLE EXPECTED(0|1) GCC-OPTIONS PAN-OPTIONS SPIN-OPTIONS…
verify() {
  local title=$1 wrong=$2 gcc_options=$3 pan_options=$4 out
  shift 4
  number=$((number + 1))
  rm -f pan* ./*.trail
  # shellcheck disable=SC2086
  out=$({ spin -a "$@" "$model" && gcc -O2 -w $gcc_options -o pan pan.c && ./pan -m400000 $pan_options; } 2>&1)
  if grep -q 'errors: [0-9]' <<< "$out" && ! grep -q 'max search depth too small' <<< "$out" \
     && [ "$(grep -c 'errors: 0$' <<< "$out")" -eq $((1 - wrong)) ]; then
    echo "ok $number - $title ($(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p' <<< "$out" | head -1))"
  else
    echo "not ok $number - $title"; sed 's/^/# /' <<< "$out" | tail -15; failed=1
  fi
}

verify 'every step ends once, no effect twice'       0 '-DSAFETY -DNOCLAIM' ''
verify 'every run comes to its end'                  0 '-DNFAIR=3' '-a -f -N finishes'
verify 'without the fence a step ends twice'         1 '-DSAFETY -DNOCLAIM' '' -DNO_FENCE
verify 'without the key an effect happens twice'     1 '-DSAFETY -DNOCLAIM' '' -DNO_KEY
verify 'without the mark a once effect leaves twice' 1 '-DSAFETY -DNOCLAIM' '' -DNO_START
if [ "${1:-}" = --long ]; then verify 'the same with three senders' 0 '-DSAFETY -DNOCLAIM' '' -DSENDERS=3; fi
echo "1..$number"
exit $failed
