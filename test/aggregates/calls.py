"""Calls of aggregates in views, and what they equal in PostgreSQL.

A call is an instance in a form: with FILTER, DISTINCT, ORDER BY, …  The
expected value comes from the same call over a table of the same rows; only the
order is written out there, which continuous views promise: without ORDER BY
(event time, offset), and with it, ties break by value.
"""

import re

# Event time and number of a row (which is the order of offsets); group key, order, and a condition's columns
COLUMNS = ['at timestamptz', 'n bigint', 'g int', 'ord int', 'tag text']

# How found and expected values are compared: as text; by their type's = when texts differ; as floating-point numbers;
# or a value has to be among those of the rows
TEXT, EQUAL, CLOSE, ONE_OF = 'text', 'equal', 'close', 'one of'

# What Welford's method gives depends on the order in the last digits
TOLERANCE = 1e-9
INEXACT = re.compile('^(var_|variance|stddev|regr_(sxx|syy|sxy|r2|slope|intercept)|covar_|corr$)')
# Without ORDER BY they show one of the equal values, whichever
PICKS = {'min', 'max', 'mode', 'percentile_disc', 'percentile_cont', 'range_agg', 'range_intersect_agg', 'greater_of', 'most',
	'ends', 'at_fraction', 'middle'}
# Of equal values that tie, or of which DISTINCT leaves one, these show which, and they have no = that overlooks it
UNEQUAL = {'json', 'xml', 'text', 'bytea', 'top_k_sketch'}

CONDITIONS = ['ord > 1', "tag <> 'b'", 'n % 3 = 0', 'ord IS NULL OR g = 1']


class Call:
	def __init__(self, instance, form, sql, expected, compare):
		self.instance = instance
		self.form = form
		self.sql = sql
		self.expected = expected
		self.compare = compare


def calls(instance, random):
	"""An instance in all its forms."""
	make = set_calls if instance.aggregate.kind != 'n' else ordinary_calls
	return list(make(instance, random.choice(CONDITIONS)))


def quoted_name(aggregate):
	return f'{aggregate.schema}.{aggregate.name}'


def shown(aggregate, sql):
	"""A view's columns have no pseudo-types."""
	return f'({sql})::text::own.pair' if aggregate.result == 'record' else sql


def comparison(instance, is_sorted):
	"""How to compare; None if one does not know what to expect."""
	aggregate = instance.aggregate
	if INEXACT.match(aggregate.name) and aggregate.result == 'double precision':
		return CLOSE
	if not any(argument.may_tie for argument in instance.arguments):
		return TEXT
	if is_sorted:
		return None if aggregate.result in UNEQUAL or aggregate.name == 'approx_top_k' else EQUAL
	return EQUAL if aggregate.name in PICKS else TEXT


def ordinary_calls(instance, condition):
	aggregate = instance.aggregate
	arguments = ', '.join(argument.sql for argument in instance.arguments)
	columns = [argument for argument in instance.arguments if not argument.is_constant]
	has_order = all(argument.is_sorted for argument in columns)
	filtered = f' FILTER (WHERE {condition})'
	# In an ordered aggregate an argument is what it is without VARIADIC
	ties = [argument.sql.removeprefix('VARIADIC ') for argument in columns] if has_order else ['n']

	def call(form, sql, expected, is_sorted):
		compare = comparison(instance, is_sorted)
		name = quoted_name(aggregate)
		if compare:
			yield Call(instance, form, shown(aggregate, f'{name}({sql}'), shown(aggregate, f'{name}({expected}'), compare)

	if not arguments:
		yield from call('plain', '*)', '*)', False)
		yield from call('FILTER', '*)' + filtered, '*)' + filtered, False)
		return
	if aggregate.name == 'any_value':
		yield from any_value_calls(instance, filtered)
	else:
		yield from call('plain', f'{arguments})', f'{arguments} ORDER BY at, n)', False)
		yield from call('FILTER', f'{arguments}){filtered}', f'{arguments} ORDER BY at, n){filtered}', False)
	if has_order and columns and not arguments.startswith('VARIADIC'):
		distinct = f'DISTINCT {arguments}'
		last = f'{distinct} ORDER BY {ties[0]} DESC'
		yield from call('DISTINCT', f'{distinct})', f'{distinct})', True)
		yield from call('DISTINCT FILTER', f'{distinct}){filtered}', f'{distinct}){filtered}', True)
		if not aggregate.is_variadic:
			yield from call('DISTINCT ORDER BY', f'{last})', f'{last})', True)
	for form, order in ('ORDER BY', 'ord'), ('ORDER BY DESC', 'tag DESC NULLS LAST, ord'):
		sql = f'{arguments} ORDER BY {order}' + ('' if has_order else ', n')
		expected = ', '.join([f'{arguments} ORDER BY {order}', *ties])
		yield from call(form, f'{sql})', f'{expected})', True)
	yield from call('ORDER BY FILTER', f'{sql}){filtered}', f'{expected}){filtered}', True)


def any_value_calls(instance, filtered):
	"""Any will do."""
	argument = instance.arguments[0].sql
	for form, end in ('plain', ''), ('FILTER', filtered):
		rows = f' FILTER (WHERE {argument} IS NOT NULL)' if not end else \
			end.replace('(WHERE ', f'(WHERE {argument} IS NOT NULL AND (') + ')'
		yield Call(instance, form, shown(instance.aggregate, f'any_value({argument}){end}'),
			f'array_agg(({argument})::text){rows}', ONE_OF)


def set_calls(instance, condition):
	"""Ordered-set and hypothetical-set aggregates, which have no order but that of their WITHIN GROUP."""
	aggregate = instance.aggregate
	direct = ', '.join(argument.sql for argument in instance.direct)
	arguments = [argument.sql for argument in instance.arguments]
	orders = {
		'WITHIN GROUP': ', '.join(arguments),
		'WITHIN GROUP DESC': ', '.join(f'{argument} DESC NULLS LAST' for argument in arguments),
	}
	for form, order in orders.items():
		for end, filtered in ('', ''), (' FILTER', f' FILTER (WHERE {condition})'):
			sql = shown(aggregate, f'{quoted_name(aggregate)}({direct}) WITHIN GROUP (ORDER BY {order}){filtered}')
			yield Call(instance, form + end, sql, sql, comparison(instance, True) or TEXT)


class View:
	"""Up to some calls under one window; what it shows, and the same from a table."""

	WINDOWS = {
		'tumble': "tumble(at, '10 minutes')",
		'hop': "hop(at, '20 minutes', '15 minutes')",
		'cumulate': "cumulate(at, '20 minutes', '10 minutes')",
		'session': "session(at, '70 seconds')",
		'global': None,
		'single': None,
	}

	def __init__(self, name, kind, calls, is_verified):
		self.name = name
		self.kind = kind
		self.calls = calls
		self.is_verified = is_verified

	def halves(self):
		middle = len(self.calls) // 2
		for letter, calls in zip('ab', (self.calls[:middle], self.calls[middle:])):
			yield View(self.name + letter, self.kind, calls, self.is_verified)

	def create(self, stream):
		calls = ',\n\t'.join(f'{call.sql} AS c{i}' for i, call in enumerate(self.calls, 1))
		keys = [f'{self.WINDOWS[self.kind]} AS w' if key == 'w' else key for key in self.keys()]
		return f'CREATE VIEW {self.name} WITH (streamx.continuous) AS {self.select(keys, calls, stream)}'

	def keys(self):
		if self.kind == 'single':
			return []
		return ['w', 'g'] if self.WINDOWS[self.kind] else ['g']

	def expected(self, table):
		calls = ',\n\t'.join(f'{call.expected} AS c{i}' for i, call in enumerate(self.calls, 1))
		return self.select(self.keys(), calls, self.windowed(table))

	def select(self, keys, calls, relation):
		groups = f" GROUP BY {', '.join(self.keys())}" if keys else ''
		return f"SELECT {', '.join([*keys, calls])}\n\tFROM {relation}{groups}"

	def windowed(self, table):
		"""The table with a column w, of the windows."""
		if not self.WINDOWS[self.kind]:
			return table
		if self.kind == 'session':
			return f"""(SELECT *, tstzrange(min(at) OVER session, max(at) OVER session + interval '70 seconds') AS w FROM (
				SELECT *, count(is_first OR NULL) OVER (PARTITION BY g ORDER BY at, n) AS session FROM (
				SELECT *, coalesce(at - lag(at) OVER (PARTITION BY g ORDER BY at, n) > '70 seconds', true) AS is_first
				FROM {table}) r) r WINDOW session AS (PARTITION BY g, session)) r"""
		return f'{table}, LATERAL {self.WINDOWS[self.kind]} AS w'
