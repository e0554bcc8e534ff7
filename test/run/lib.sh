# What the scripts of this directory share: source it.

set -euo pipefail
export LC_ALL=C.UTF-8

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '== %s\n' "$*"; }

fail()
{
	printf '** %s\n' "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Run a command with a clean environment, and never as root: PostgreSQL refuses to.
unprivileged()
{
	local clean=(env -i PATH="$PATH" HOME=/tmp LC_ALL=C.UTF-8 CI="${CI:-}")

	[ -z "${STREAMX_KAFKA_JARS:-}" ] || clean+=(STREAMX_KAFKA_JARS="$STREAMX_KAFKA_JARS")
	[ -z "${STREAMX_MODEL:-}" ] || clean+=(STREAMX_MODEL="$STREAMX_MODEL")
	[ -z "${STREAMX_CHAOS:-}" ] || clean+=(STREAMX_CHAOS="$STREAMX_CHAOS")
	[ -z "${STREAMX_SQLSMITH:-}" ] || clean+=(STREAMX_SQLSMITH="$STREAMX_SQLSMITH")
	[ -z "${STREAMX_FUZZ:-}" ] || clean+=(STREAMX_FUZZ="$STREAMX_FUZZ")
	[ -z "${STREAMX_SECONDS:-}" ] || clean+=(STREAMX_SECONDS="$STREAMX_SECONDS")
	[ -z "${STREAMX_SEED:-}" ] || clean+=(STREAMX_SEED="$STREAMX_SEED")
	[ -z "${STREAMX_SERVER:-}" ] || clean+=(STREAMX_SERVER="$STREAMX_SERVER")
	[ -z "${STREAMX_SLOWNESS:-}" ] || clean+=(STREAMX_SLOWNESS="$STREAMX_SLOWNESS")
	[ -z "${SANITIZE:-}" ] || clean+=(SANITIZE="$SANITIZE" WERROR=)
	[ -z "${STREAMX_AGGREGATES:-}" ] || clean+=(STREAMX_AGGREGATES="$STREAMX_AGGREGATES")

	if [ "$(id -u)" = 0 ]; then
		(cd / && runuser -u postgres -- "${clean[@]}" "$@")
	else
		"${clean[@]}" "$@"
	fi
}

# The PostgreSQL that this Debian brings; PG_MAJOR chooses another one.
pg_major()
{
	if [ -n "${PG_MAJOR:-}" ]; then
		echo "$PG_MAJOR"
		return
	fi
	case $(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
		bookworm) echo 15 ;;
		trixie) echo 17 ;;
		forky) echo 18 ;;
		*) fail "this is none of Debian bookworm, trixie and forky: set PG_MAJOR" ;;
	esac
}

# The tree as it is, committed or not, without what a build or a test run left.
copy_source()
{
	mkdir -p "$1"
	tar -C "$top" -c \
		--exclude=./.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='sql/streamx--*.sql' \
		--exclude=./test/fuzz/build --exclude=./results --exclude=./tmp_check --exclude='./regression.*' \
		--exclude=./test/kafka/broker --exclude=./test/kafka/produce \
		--exclude=./test/apache-kafka/acl --exclude=./test/apache-kafka/topic --exclude=./test/apache-kafka/transaction --exclude=./bench/generate . | tar -C "$1" -x --no-same-owner
}

# Count the tests in the output of pg_regress, prove and lint, which print TAP
# or, in PostgreSQL 15, "test NAME ... ok": prints passed, failed and skipped.
tally()
{
	awk '
		/^ok .*# *skip/ || /^1\.\.0 # *SKIP/ { skipped++; next }
		/^ok [0-9]/ || /^test .* \.\.\. +ok/ { passed++ }
		/^not ok [0-9]/ || /^test .* \.\.\. +FAILED/ { failed++ }
		/ \(Wstat: [1-9]/ { broken++ }
		END {
			if (broken > failed)
				failed = broken
			print passed + 0, failed + 0, skipped + 0
		}' "$1"
}

# The passed and failed of a script's last line "N passed, N failed", if it got so far.
last_counts() { sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$1" | tail -1; }

# What is slow to get and the same for every run: chroots, Apache Kafka.
cache_dir()
{
	if [ "$(id -u)" = 0 ]; then
		echo /var/cache/streamx
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/streamx"
	fi
}
