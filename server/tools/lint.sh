#!/usr/bin/env bash
# The project's own rules, checked at every build. Prints "file:line: what is wrong"; exit 1 when something is.
#   lint.sh [--quiet]      --quiet: errors only, and how many warnings there are
#   MUSTER_LINT=0          errors are printed, but do not stop the build
#   MUSTER_LINT_STRICT=1   warnings are errors, too
# A line that must break a rule says why in a comment on it: /* allowed: reason */
set -u
quiet=no; [ "${1:-}" = --quiet ] && quiet=yes
cd "$(dirname "$0")/../.." || exit 2
export LC_ALL=C.UTF-8
errors=0 warnings=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

bad() { printf 'error: %s\n' "$*"; errors=$((errors + 1)); }
warn() { [ $quiet = yes ] || printf 'warning: %s\n' "$*"; warnings=$((warnings + 1)); }
# Reads "file:line:text" and complains about each; lines with a stated exception pass.
each() { # what
  local line
  while IFS= read -r line; do bad "${line%%:*}:$(cut -d: -f2 <<< "$line"): $1"; done < <(grep -v 'allowed:')
}

sources=$(find server -name '*.c' -o -name '*.h' | sort)
# C without comments, strings kept, as file:line:text. One pass for all rules.
strip() {
  # shellcheck disable=SC2086
  awk '
    FNR == 1 { inside = 0 }
    { line = $0; out = ""; allowed = (line ~ /allowed:/)
      while (length(line) > 0) {
        if (inside) { i = index(line, "*/"); if (i == 0) { line = ""; } else { line = substr(line, i + 2); inside = 0 } continue }
        if (match(line, /"([^"\\]|\\.)*"|'\''([^'\''\\]|\\.)+'\''|\/\/|\/\*/) == 0) { out = out line; line = ""; continue }
        token = substr(line, RSTART, RLENGTH)
        out = out substr(line, 1, RSTART - 1)
        if (token == "/*") { inside = 1; line = substr(line, RSTART + 2) }
        else if (token == "//") { line = "" }
        else { out = out token; line = substr(line, RSTART + RLENGTH) }
      }
      if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out (allowed ? " /* allowed: */" : "") }' $sources
}
strip > "$tmp/code"
# The same without the contents of strings.
sed -E 's/"([^"\\]|\\.)*"/""/g' "$tmp/code" > "$tmp/bare"
not_tools() { grep -v '^server/tools/'; }

# ---- who may include what ----------------------------------------------------------------------------------------
cat > "$tmp/sees" <<'END'
base base
data base data
db base data db
net base data net
engine base data engine
cacao base data engine cacao
domain base data domain
store base data db engine domain store
http base data db net http
api base data db net engine cacao domain store http api
work base data db net engine domain store work
END
{ for file in server/*/*.h; do printf '%s %s\n' "${file##*/}" "$(basename "${file%/*}")"; done
  printf '%s\n' 'queries.h db' 'migrations.h db' 'words.h base' 'assets.h base' 'version.h base'; } > "$tmp/headers"
while read -r line; do bad "$line"; done < <(grep -E '^server/[a-z]+/[^:]*:[0-9]+:[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$tmp/code" | grep -v '^server/tools/' | awk -v sees="$tmp/sees" -v headers="$tmp/headers" '
  BEGIN { while ((getline row < sees) > 0) { n = split(row, w, " "); for (i = 2; i <= n; i++) may[w[1], w[i]] = 1 }
          while ((getline row < headers) > 0) { split(row, w, " "); home[w[1]] = home[w[1]] " " w[2] } }
  { split($0, at, ":"); split(at[1], way, "/"); layer = way[2]; split($0, quote, "\""); header = quote[2]
    if (header ~ /\.(def|inc)$/) next
    if (!(header in home)) { print at[1] ":" at[2] ": " header ": no such header"; next }
    n = split(home[header], owners, " "); good = 0
    for (i = 1; i <= n; i++) if ((layer, owners[i]) in may) good = 1
    if (!good) print at[1] ":" at[2] ": " layer "/ may not see" home[header] "/ (" header ")" }')
only() { # header, allowed path pattern
  grep -E "^[^:]*:[0-9]+:[[:space:]]*#[[:space:]]*include[[:space:]]*<$1>" "$tmp/code" | grep -vE "^($2)" | each "<$1> is not for this file"
}
only microhttpd.h 'server/http/'
only libpq-fe.h 'server/db/'
only libesmtp.h 'server/work/mail'
only curl/curl.h 'server/net/|server/work/mail'

# ---- calls we do not use -----------------------------------------------------------------------------------------
banned='strcpy|strncpy|strcat|strncat|sprintf|vsprintf|gets|strtok|asctime|ctime|localtime|gmtime|rand|srand|alloca|tmpnam|mktemp|system|popen|atoi|atol|atof'
not_tools < "$tmp/bare" | grep -E "(^|[^A-Za-z0-9_])($banned)[[:space:]]*\(" | each 'a call on the list of banned ones'
not_tools < "$tmp/bare" | grep -E '^[^:]*:[0-9]+:[[:space:]]*default[[:space:]]*:' | each '"default:" hides a missing case'
grep -nE 'T[O]DO|F[I]XME|X[X]X' $sources | grep -v '"T[O]DO"' | each 'unfinished business does not go into the tree'

# ---- no SQL, no HTML, no absolute paths in C -----------------------------------------------------------------------
not_tools < "$tmp/code" | grep -v '^server/db/' | grep -E '"[[:space:]]*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|select|insert into|update [a-z]+ set|delete from)[[:space:]]' | each 'SQL in C (it belongs into sql/queries)'
# Markdown and the few formatters make tags by their nature; <%s> in a line of text is no tag.
not_tools < "$tmp/code" | grep -vE '^server/data/(md|mustache)' | grep -E '"[[:space:]]*<(/?[a-z]|!)' | each 'HTML in C (it belongs into web/)'
grep -E '"/((work|home|root)(/|")|tmp/[a-z])' "$tmp/code" | grep -v '"/tmp/muster-' | each 'an absolute path of somebody'"'"'s machine'

# ---- named queries --------------------------------------------------------------------------------------------------
sed -nE 's/^-- name:[[:space:]]*([a-z0-9_]+).*/\1/p' sql/queries/*.sql 2> /dev/null | sort -u > "$tmp/queries"
{ grep -ohE 'Q_[a-z0-9_]+' $sources | sed 's/^Q_//'; cat server/api/*.def 2> /dev/null | grep -oE 'SQL\([a-z0-9_]+\)' | sed -E 's/SQL\((.*)\)/\1/'; } | sort -u > "$tmp/used-queries"
while read -r name; do warn "sql/queries: nothing uses query $name"; done < <(comm -23 "$tmp/queries" "$tmp/used-queries")
while read -r name; do bad "server/api: there is no query $name"; done < <(cat server/api/*.def 2> /dev/null | grep -oE 'SQL\([a-z0-9_]+\)' | sed -E 's/SQL\((.*)\)/\1/' | sort -u | comm -13 "$tmp/queries" -)

# ---- words -----------------------------------------------------------------------------------------------------------
if [ -e web/i18n/en.json ]; then
  sed -nE 's/^[[:space:]]*"(([^"\\]|\\.)+)"[[:space:]]*:.*/\1/p' web/i18n/en.json | sed 's/#.*//' | sort -u > "$tmp/words"
  # What is asked for by name: {{#t}}key{{/t}} without a variable in it, and texts of C and SQL that look like a key we have a family of.
  families=$(sed -E 's/\..*//' "$tmp/words" | sort -u | paste -sd'|')
  grep -rohE '\{\{#t\}\}[^{}]+\{\{/t\}\}' web --include='*.html' --include='*.txt' --include='*.atom' --include='*.rss' 2> /dev/null | sed -E 's/\{\{#t\}\}(.*)\{\{\/t\}\}/\1/' | sed 's/#.*//; s/^ *//; s/ *$//' | sort -u > "$tmp/asked-web"
  while read -r key; do bad "web: the word $key is in neither language ($(grep -rlF "{{#t}}$key{{/t}}" web | head -1))"; done < <(comm -13 "$tmp/words" "$tmp/asked-web")
  grep -v '^server/tools' "$tmp/code" | grep -oE '"(error|problem)\.[a-z0-9_.]+"' | tr -d '"' | grep -v '\.$' | sort -u > "$tmp/asked-c"
  grep -ohE "'error\.[a-z0-9_.]+'" sql/functions/*.sql sql/queries/*.sql 2> /dev/null | tr -d "'" | grep -v '\.$' | sort -u > "$tmp/asked-sql"
  while read -r key; do bad "server: the word $key is in neither language"; done < <(comm -13 "$tmp/words" "$tmp/asked-c")
  while read -r key; do bad "sql: the word $key is in neither language"; done < <(comm -13 "$tmp/words" "$tmp/asked-sql")
  # Unused: neither named whole anywhere, nor under a prefix that is completed at run time ("severity.{{severity}}", "event." || kind).
  cat $sources server/*.def server/*/*.def web/*.html web/mail/* web/*.atom web/*.rss sql/functions/*.sql sql/queries/*.sql sql/demo/*.sql 2> /dev/null > "$tmp/everything"
  { find playbooks -type f -exec cat {} + ; cat web/js/* ; } >> "$tmp/everything" 2> /dev/null
  grep -oE "($families)(\.[A-Za-z0-9_-]+)+" "$tmp/everything" | sort -u > "$tmp/named"
  grep -oE "($families)(\.[A-Za-z0-9_-]+)*\.(\{\{|%s|'|\")" "$tmp/everything" | sed -E "s/(\{\{|%s|'|\")\$//" | sort -u > "$tmp/prefixes"
  awk 'FILENAME == ARGV[1] { named[$0]; next } FILENAME == ARGV[2] { prefix[++n] = $0; next }
       { if ($0 in named) next; for (i = 1; i <= n; i++) if (index($0, prefix[i]) == 1) next; print }' "$tmp/named" "$tmp/prefixes" "$tmp/words" > "$tmp/unused"
  while read -r key; do warn "web/i18n: nothing uses $key"; done < "$tmp/unused"
fi

# ---- every route has a test --------------------------------------------------------------------------------------------
# A test that goes through the table printed by "muster routes --json" reaches every row; without it each name must occur.
if grep -qE "cli\(\['routes', '--json'\]\)" tests/api/*.test.js 2> /dev/null; then cat server/api/*.def; fi > "$tmp/whole-table"
cat "$tmp/whole-table" tests/api/* 2> /dev/null | grep -oE '[a-z0-9_]+' | sort -u > "$tmp/tests"
cat server/api/*.def 2> /dev/null | sed -nE 's/^[[:space:]]*ROUTE\([[:space:]]*([a-z0-9_]+).*/\1/p' | sort -u | comm -23 - "$tmp/tests" > "$tmp/untested"
while read -r route; do warn "tests/api: no test names the route $route"; done < "$tmp/untested"

[ "${MUSTER_LINT_STRICT:-0}" = 1 ] && errors=$((errors + warnings))
if [ "$errors" -gt 0 ]; then printf 'lint: %d error(s), %d warning(s)\n' "$errors" "$warnings"; [ "${MUSTER_LINT:-1}" = 0 ]; exit; fi
if [ "$warnings" -gt 0 ]; then printf 'lint: %d warning(s)\n' "$warnings"; fi
exit 0
