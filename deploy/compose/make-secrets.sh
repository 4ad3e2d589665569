#!/bin/sh
# usage: make-secrets.sh LOG-NAME [FOLDER]
#
# Makes the secrets that compose.yaml reads, each in a file of its own, from the system's random numbers; never
# overwrites one. LOG-NAME is the log's name in its checkpoints, such as shop.example.com/security. It prints the log's
# public key, which auditors need. SECLOG is the program; `npx @seclog/server` if it is not set.
#
# Containers run as users of their own and read these files, so the files are readable; the folder is closed to others.
set -eu

name=${1:?usage: make-secrets.sh LOG-NAME [FOLDER]}
folder=${2:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"
if [ -e postgres-password ]; then
  echo "make-secrets.sh: there are secrets in $folder, and none is ever overwritten: name another folder" >&2
  exit 1
fi

# The log's key first: without it, nothing else is made.
${SECLOG:-npx @seclog/server} keys generate --out seal-key --name "$name"

random() { openssl rand -hex 32; }
url() { printf 'postgresql://%s:%s@/%s?host=/var/run/postgresql\n' "$1" "$2" "$3"; }

redis=$(random)
printf 'redis://seclog:%s@redis:6379\n' "$redis" >queue-url
printf 'user default off\nuser seclog on #%s ~{seclog}:* +@read +@write +@connection +eval +time -@dangerous +info\n' \
  "$(printf %s "$redis" | openssl dgst -sha256 -r | cut -d ' ' -f 1)" >redis-acl
openssl rand -base64 32 >queue-key
random >api-token
for role in writer reader sealer relay; do url "seclog_compose_$role" "$(random)" seclog >"$role-url"; done
postgres=$(random)
url postgres "$postgres" postgres >admin-url
printf %s "$postgres" >postgres-password
chmod 444 -- *
