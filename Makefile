# streamx: continuous views over Kafka topics inside PostgreSQL
#
#   make, make install, make installcheck    as with any PGXS extension; installcheck wants a server
#                                            with shared_preload_libraries = 'streamx' and pgTAP
#   make demo           see it work, for a minute, on a private PostgreSQL and an embedded broker
#   make demo-up        leave that running, to connect with psql; make demo-down ends it
#   make check          everything, on a private PostgreSQL; installs what is missing (Debian)
#   make lint           the house rules alone
#   make check-kafka    the broker tests against a real Apache Kafka
#   make check-matrix   make check's suites on PostgreSQL 17 and 18, in chroots
#   make check-instructions  how many instructions an event costs, against what was recorded
#   make check-upgrade  pg_upgrade and dumps from PostgreSQL 15 to 17 to 18
#   make check-postgres PostgreSQL's own regression suite, with streamx preloaded
#   make chaos          random faults under load, for SECONDS (60), from SEED: see docs/reliability.md
#   make check-faults   faults at every step of a batch, with a build of its own that has debug points
#   make check-model    random views against a reference, for SECONDS (600), from SEED
#   make check-sanitizers  regress, isolation, TAP and broker tests with AddressSanitizer and UBSan on an assert-enabled
#                       PostgreSQL, DDL without caches, a batch under valgrind: see docs/reliability.md
#   make soak           load, readers and held snapshots for SECONDS (1800), and what grows: see docs/reliability.md
#   make check-functions  our functions with random and forged arguments, for SECONDS (500), from SEED
#   make fuzz           decoders, converters, filters, states and metadata under libFuzzer, each TARGET for SECONDS (60), from SEED
#   make sqlsmith       random queries over streams and views, for SECONDS (60), from SEED
#   make bench          speed and memory beside other systems, with a real Apache Kafka, in a quarter of an hour:
#                       see docs/performance.md; make bench-quick in three minutes, make bench-full in hours

EXTENSION = streamx
EXTVERSION = 0.1.0
MODULE_big = streamx

C_SOURCES = $(sort $(wildcard src/*.c src/*/*.c))
CXX_SOURCES = $(sort $(wildcard src/*/*.cc))
OBJS = $(C_SOURCES:.c=.o) $(CXX_SOURCES:.cc=.o)
DEPENDENCIES = $(OBJS:.o=.d)
DATA_built = sql/streamx--$(EXTVERSION).sql
# one for each released version: streamx--FROM--TO.sql
DATA = $(sort $(wildcard sql/updates/streamx--*--*.sql))
EXTRA_CLEAN = $(DEPENDENCIES)

# "make WERROR=" for a compiler that warns of more than ours do
WERROR ?= -Werror
WARNINGS = -Wall -Wextra $(WERROR) -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
SANITIZERS = $(if $(SANITIZE),-fsanitize=address -fsanitize=undefined -fno-omit-frame-pointer)
PG_CPPFLAGS = -I$(srcdir)/src -MMD -MP -DSX_VERSION='"$(EXTVERSION)"' $(if $(DEBUG_POINTS),-DSX_DEBUG_POINTS)
PG_CFLAGS = $(WARNINGS) -Wno-cast-function-type -fvisibility=hidden $(SANITIZERS)
PG_CXXFLAGS = $(WARNINGS) -std=c++17 -fno-exceptions -fno-rtti -fvisibility=hidden -O3 $(SANITIZERS)
SHLIB_LINK = $(SANITIZERS) -lrdkafka -lsimdjson -lstdc++

# Both kinds of expected files are in expected/; specs and tests share no names.
REGRESS = $(basename $(notdir $(sort $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --load-extension=pgtap --load-extension=streamx
ISOLATION = $(basename $(notdir $(sort $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=streamx
TAP_TESTS = 1
PROVE_TESTS = $(sort $(wildcard test/tap/*.pl))
PROVE_FLAGS = -I test/tap

# pg_regress looks into ./sql before test/sql
hidden = $(filter $(basename $(notdir $(wildcard sql/*.sql))),$(REGRESS) $(ISOLATION))
twins = $(filter $(REGRESS),$(ISOLATION))
ifneq ($(hidden)$(twins),)
$(error rename the tests $(hidden) $(twins): pg_regress would take another file for them)
endif

# Our own targets install what they need themselves: no PGXS, which may be missing.
OWN_TARGETS = check check-kafka check-matrix check-upgrade check-postgres check-model check-faults check-functions check-instructions check-sanitizers chaos soak fuzz sqlsmith lint demo demo-up demo-down bench bench-quick bench-full

ifneq ($(filter $(OWN_TARGETS),$(MAKECMDGOALS)),)
.PHONY: $(OWN_TARGETS)
check:
	@test/run/check
check-kafka:
	@test/run/check-kafka
check-matrix:
	@test/run/check-matrix
check-upgrade:
	@test/run/check-upgrade
check-postgres:
	@test/run/check-postgres
check-model:
	@STREAMX_MODEL="--seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))" test/run/check model
chaos:
	@STREAMX_CHAOS="--seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(ROUND),--round $(ROUND))" test/run/check chaos
check-faults:
	@test/run/check faults
check-functions:
	@STREAMX_SECONDS=$(or $(SECONDS),500) STREAMX_SEED=$(or $(SEED),1) test/run/check functions
fuzz:
	@STREAMX_FUZZ="--seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(TARGET)" test/run/check fuzz
sqlsmith:
	@test/run/packages sqlsmith && STREAMX_SQLSMITH="$(or $(SECONDS),60) $(or $(SEED),1)" test/run/check sqlsmith
check-sanitizers:
	@test/run/check-sanitizers
soak:
	@bench/run --soak --seconds $(or $(SECONDS),1800)
check-instructions:
	@test/run/packages instructions && test/run/check instructions
lint:
	@test/lint
bench:
	@bench/run
bench-quick:
	@bench/run --plan quick
bench-full:
	@bench/run --plan full
demo:
	@examples/demo/demo run
demo-up:
	@examples/demo/demo up
demo-down:
	@examples/demo/demo down
else

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
override with_llvm = no
include $(PGXS)

sql/streamx--$(EXTVERSION).sql: sql/streamx.sql
	cp $< $@

-include $(DEPENDENCIES)

endif
