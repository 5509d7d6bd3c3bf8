# A shell that starts programs; see waits.c.
say() { printf '%s %s 0\n' "$1" "$(date +%s.%N)"; }
echo "begin $(date +%s) 0"
(sleep "$1"; say sleep) &
(sleep 600; sleep "$(($1 - 540))"; say sleep-and-sleep) &
(sh -c "sleep $(($1 + 120)) | cat"; say sleep-in-a-pipe) &
(exec sh -c "exec sh -c 'sleep $(($1 + 180)); exec date +exec\ %s.%N\ 0'") &
wait
