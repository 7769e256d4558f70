# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# run_fio FILE DIRECTION BLOCK DEPTH SECONDS: one workload of the storage benchmark, in child or parent.
run_fio() {
    fio --name=b --filename="$1" --rw="$2" --bs="$3" --iodepth="$4" --runtime="$5" --time_based \
        --ioengine=libaio --direct=1 --norandommap --randrepeat=0 --output-format=json \
        > /tmp/fio.json 2> /tmp/fio.err || { echo "STORAGE ERROR $(head -n 1 /tmp/fio.err)"; return 1; }
    # The one job has a read and a write half; only one of them did anything.
    sed -n 's/^ *"\(iops\|total_ios\)" : \([0-9.]*\),*$/\1 \2/p' /tmp/fio.json | awk '
        $1 == "iops" && $2 > rate { rate = $2 }
        $1 == "total_ios" && $2 > count { count = $2 }
        END { print "STORAGE RESULT", rate + 0, count + 0 }'
}
