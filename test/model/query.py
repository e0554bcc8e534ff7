"""The queries of random views: each part as SQL, and as what it means.

A part is a pair (or more) of its text and a Python function of a row, or of a
group's rows, that follows SQL's rules about NULL.
"""

from collections import namedtuple

import reference
from aggregates import Condition, arranged, distinct, percentile, present, total
from reference import Length, Taken

STREAM = 'events'

# The table that some join: labels of numbers, one twice
LABELS = [(0, 'z'), (0, 'z'), (1, 'x'), (1, 'y'), (2, 'x'), (3, None)]

# What views need besides the stream, by its name: that table, and an aggregate that has no combine function
NEEDED = {
	'labels': 'CREATE TABLE labels (number, label) AS VALUES ' + ', '.join(
		f"({number}, {'NULL' if label is None else repr(label)})" for number, label in LABELS),
	'trail': """CREATE FUNCTION trail_step(text, int) RETURNS text IMMUTABLE
	RETURN coalesce($1 || '>', '') || coalesce($2::text, '-');
CREATE AGGREGATE trail(int) (SFUNC = trail_step, STYPE = text)""",
}

Key = namedtuple('Key', 'sql type of')
Join = namedtuple('Join', 'sql labels')

KEYS = [
	Key('k', 'text', lambda row: row.k),
	Key('g', 'number', lambda row: row.g),
	Key('amount', 'number', lambda row: row.amount),
	Key('g % 2', 'number', lambda row: None if row.g is None else row.g % 2),
	Key("coalesce(k, '')", 'text', lambda row: row.k or ''),
]
LABEL = Key('label', 'text', lambda row: row.label)

CONDITIONS = [
	Condition('n > 3', lambda row: row.n is not None and row.n > 3),
	Condition("k <> 'a'", lambda row: row.k is not None and row.k != 'a'),
	Condition('k IS NULL OR g = 1', lambda row: row.k is None or row.g == 1),
	Condition('amount >= 0', lambda row: row.amount is not None and row.amount >= 0),
	Condition('NOT (n = 1)', lambda row: row.n is not None and row.n != 1),
]


GROUP_CONDITIONS = [
	Condition('count(*) > 1', lambda rows: len(rows) > 1),
	Condition('sum(n) >= 4', lambda rows: (total(present(rows, 'n')) or 0) >= 4
		and bool(present(rows, 'n'))),
]
# Over aggregates that are kept by their inputs
INPUT_CONDITIONS = [
	Condition('count(DISTINCT n) > 1', lambda rows: len(distinct(rows, 'n')) > 1),
	Condition('(array_agg(n))[1] > 1', lambda rows: (next(iter(arranged(rows, 'n')), None) or 0) > 1),
	Condition('percentile_disc(0.5) WITHIN GROUP (ORDER BY n) < 3',
		lambda rows: bool(present(rows, 'n')) and percentile(rows, 'n', 0.5) < 3),
	Condition("count(DISTINCT n) FILTER (WHERE k = 'a') = 1",
		lambda rows: len(distinct([row for row in rows if row.k == 'a'], 'n')) == 1),
]


def labels(number):
	return [label for found, label in LABELS if found == number]


JOINS = [
	Join('JOIN labels ON number = g', lambda row: labels(row.g)),
	Join('JOIN labels ON number = n', lambda row: labels(row.n)),
	Join('LEFT JOIN labels ON number = g', lambda row: labels(row.g) or [None]),
	Join('LEFT JOIN labels ON number = n', lambda row: labels(row.n) or [None]),
]

# Longest first: how lengths of pure time are written
UNITS = [(3_600_000_000, 'hours'), (60_000_000, 'minutes'), (1_000_000, 'seconds'),
	(1000, 'milliseconds'), (1, 'microseconds')]


def interval(length):
	parts = []
	if length.months:
		parts.append(f'{length.months} months')
	if length.days:
		parts.append(f'{length.days} days')
	if length.us or not parts:
		size, name = next((size, name) for size, name in UNITS if length.us % size == 0)
		parts.append(f'{length.us // size} {name}')
	return "'" + ' '.join(parts) + "'"


def timestamp(us, type='timestamptz'):
	"""A literal; a timestamp without a zone is what clocks show in UTC."""
	at = reference.clock(us)
	if type == 'date':
		return f"'{at.date()}'"
	return f"'{at.isoformat(sep=' ')}" + ("'" if type == 'timestamp' else "Z'")


def literal(value):
	if value is None:
		return 'NULL'
	return f"'{value}'" if isinstance(value, str) else str(value)


class Query:
	"""A view's query.  For the window's arguments see reference.Windows; gap, lateness and
	retention are in microseconds."""

	def __init__(self, kind, aggregates, keys=(), condition=None, group_condition=None,
			size=None, step=None, origin=None, zone=None, gap=None, lateness=0, retention=None,
			is_window_first=True, time_type='timestamptz', join=None, retains_inputs=False):
		self.kind = kind
		self.aggregates = aggregates
		self.keys = keys
		self.condition = condition
		self.group_condition = group_condition
		self.size = size
		self.step = step
		self.origin = origin
		self.zone = zone
		self.gap = gap
		self.lateness = lateness
		self.retention = retention
		self.is_window_first = is_window_first
		self.time_type = time_type
		self.join = join
		self.retains_inputs = retains_inputs
		self.is_single = kind == 'global' and not keys
		self.windows = None
		if kind in ('tumble', 'hop', 'cumulate'):
			self.windows = reference.Windows(kind, size, step, origin, zone)

	# ---- what it means ----

	def rows(self, partition, offset, row):
		"""What FROM and WHERE make of a row of the stream."""
		labels = self.join.labels(row) if self.join else [None]
		rows = [Taken(*row, label, partition, offset) for label in labels]
		return [row for row in rows if self.condition is None or self.condition.holds(row)]

	def key(self, row):
		return tuple(key.of(row) for key in self.keys)

	def keeps(self, rows):
		return self.group_condition is None or self.group_condition.holds(rows)

	def row(self, key, window, rows):
		values = tuple(aggregate.of(rows) for aggregate in self.aggregates)
		if self.kind == 'global':
			return key + values
		return ((window,) + key if self.is_window_first else key + (window,)) + values

	# ---- SQL ----

	def types(self):
		"""Of the view's columns: names of engine.PARSERS."""
		keys = [key.type for key in self.keys]
		window = [] if self.kind == 'global' else ['window']
		groups = window + keys if self.is_window_first else keys + window
		return groups + [aggregate.type for aggregate in self.aggregates]

	def window_sql(self):
		arguments = ['at', interval(Length(us=self.gap) if self.kind == 'session' else self.size)]
		if self.kind in ('hop', 'cumulate'):
			arguments.append(interval(self.step))
		if self.origin is not None:
			arguments.append('origin => ' + timestamp(self.origin,
				'timestamptz' if self.time_type == 'timestamptz' else 'timestamp'))
		if self.zone is not None:
			arguments.append(f"timezone => '{self.zone}'")
		return f"{self.kind}({', '.join(arguments)}) AS w"

	def select(self, stream):
		keys = [f'{key.sql} AS key{i}' for i, key in enumerate(self.keys, 1)]
		window = [] if self.kind == 'global' else [self.window_sql()]
		groups = window + keys if self.is_window_first else keys + window
		columns = groups + [f'{aggregate.sql} AS a{i}'
			for i, aggregate in enumerate(self.aggregates, 1)]
		text = f"SELECT {', '.join(columns)}\n\tFROM {stream}"
		if self.join:
			text += f' {self.join.sql}'
		if self.condition:
			text += f' WHERE {self.condition.sql}'
		if groups:
			text += ' GROUP BY ' + ', '.join(str(i) for i in range(1, len(groups) + 1))
		if self.group_condition:
			text += f' HAVING {self.group_condition.sql}'
		return text
