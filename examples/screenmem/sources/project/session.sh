# What the terminal shows: every command is printed behind a prompt and then really run.
run() {
  printf '\033[1;32modalys@gauge\033[0m:\033[1;34m~/tidegauge\033[0m$ %s\n' "$1"
  eval "$1"
}

run 'git log --oneline'
run 'wc -l *'
run 'python3 check.py'
run 'grep -v INFO gauge.log'
printf '\033[1;32modalys@gauge\033[0m:\033[1;34m~/tidegauge\033[0m$ '
sleep 600
