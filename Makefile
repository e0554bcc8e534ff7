# streamx: continuous views over Kafka topics inside PostgreSQL

EXTENSION = streamx
EXTVERSION = 0.1.0
MODULE_big = streamx

C_SOURCES = $(sort $(wildcard src/*.c src/*/*.c))
CXX_SOURCES = $(sort $(wildcard src/*/*.cc))
OBJS = $(C_SOURCES:.c=.o) $(CXX_SOURCES:.cc=.o)
DATA_built = sql/streamx--$(EXTVERSION).sql

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare -Wno-cast-function-type -fvisibility=hidden
PG_CXXFLAGS = -Wall -Wextra -Werror -std=c++17 -fno-exceptions -fno-rtti -fvisibility=hidden -O3
SHLIB_LINK = -lrdkafka -lsimdjson -lstdc++

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
override with_llvm = no
include $(PGXS)

sql/streamx--$(EXTVERSION).sql: sql/streamx.sql
	cp $< $@
