"""Aggregates of random views: each as SQL, and as what it makes of a group's rows.

Rows are reference.Taken.  Order, ties and NULL are those of docs/semantics.md:
ORDER BY, then the arguments themselves; without it arrival.  The order of numbers that
are equal and look different has no meaning, nor which of them DISTINCT takes.
"""

import json
import math
from collections import Counter, namedtuple
from decimal import Decimal
from fractions import Fraction

AVERAGE_DIGITS = 12
HISTOGRAM = (0, 4, 4)  # from, to, buckets

Condition = namedtuple('Condition', 'sql holds')

# is_call: it is a single call, which takes a FILTER
Aggregate = namedtuple('Aggregate', 'sql type of is_call', defaults=(True,))


def filtered(aggregate, condition):
	return Aggregate(f'{aggregate.sql} FILTER (WHERE {condition.sql})', aggregate.type,
		lambda rows: aggregate.of([row for row in rows if condition.holds(row)]), False)


# ---- columns and orders ----

def column(row, name):
	"""Of a row, or of what PostgreSQL would have of it as text."""
	if name.endswith('::text'):
		value = getattr(row, name.removesuffix('::text'))
		return None if value is None else str(value)
	return getattr(row, name)


def arrival(row):
	return (row.at, row.partition or 0, row.offset)


def sort_key(value, are_nulls_greatest):
	return ((value is None) == are_nulls_greatest, value)


def in_order(rows, order):
	"""Rows as by an ORDER BY of columns, each with DESC or NULLS FIRST or LAST, or both."""
	for term in reversed(order.split(', ')):
		name, _, how = term.partition(' ')
		is_descending = 'DESC' in how
		are_nulls_first = 'FIRST' in how or (is_descending and 'LAST' not in how)
		rows = sorted(rows, reverse=is_descending,
			key=lambda row: sort_key(column(row, name), is_descending == are_nulls_first))
	return rows


def arranged(rows, name, order=None):
	"""The column in the order that an aggregate of it takes it."""
	rows = in_order(rows, name)
	return [column(row, name) for row in (in_order(rows, order) if order else sorted(rows, key=arrival))]


def present(rows, name):
	return [value for value in (column(row, name) for row in rows) if value is not None]


def distinct(rows, name):
	return set(present(rows, name))


# ---- values ----

def total(values):
	return sum(values) if values else None


def average(values):
	return rounded(sum(Fraction(value) for value in values) / len(values)) if values else None


def rounded(value):
	"""A fraction, or a number that PostgreSQL rounded later than this, to AVERAGE_DIGITS."""
	scaled = round(Fraction(value) * 10**AVERAGE_DIGITS)
	return Decimal(scaled).scaleb(-AVERAGE_DIGITS)


def least(values):
	return min(values) if values else None


def greatest(values):
	return max(values) if values else None


def array(values):
	"""Its text; of no values there is no array."""
	def element(value):
		return 'NULL' if value is None else str(value) or '""'
	return '{' + ','.join(element(value) for value in values) + '}' if values else None


def equal_numbers(values):
	"""An array of numbers, however they look."""
	return tuple(values) or None


def numbers(values):
	"""An array of numbers, as they look, but in any order of equal ones."""
	return (tuple(values), tuple(sorted(str(value) for value in values))) if values else None


def trail(values):
	"""What aggregate trail of query.NEEDED makes of them."""
	return '>'.join('-' if value is None else str(value) for value in values) if values else None


def joined(values, delimiter):
	values = [value for value in values if value is not None]
	return delimiter.join(values) if values else None


def json_array(values):
	return json.dumps(values, ensure_ascii=False) if values else None


def json_object(pairs):
	"""As jsonb has it: the last value of each key, short keys first."""
	found = dict(pairs)
	return json.dumps({key: found[key] for key in sorted(found, key=lambda key: (len(key.encode()), key))},
		ensure_ascii=False) if found else None


def histogram(values):
	start, end, buckets = HISTOGRAM
	places = Counter(max(-1, min((value - start) * buckets // (end - start), buckets)) for value in values)
	return array([places[place] for place in range(-1, buckets + 1)] if values else [])


# ---- over sorted rows ----

def percentile(rows, order, fraction):
	values = sorted_present(rows, order)
	return values[max(math.ceil(fraction * len(values)), 1) - 1] if values else None


def sorted_present(rows, order):
	values = [column(row, order.split()[0]) for row in in_order(rows, order)]
	return [value for value in values if value is not None]


def median(rows, name):
	values = sorted(present(rows, name))
	middle = len(values) // 2
	return Decimal(values[middle] + values[middle - (len(values) + 1) % 2]) / 2 if values else None


def mode(rows, order):
	"""The first of the most frequent."""
	values = sorted_present(rows, order)
	return max(values, key=Counter(values).__getitem__) if values else None


def before(rows, order, **values):
	"""Those that would come before a row with these values."""
	probe = namedtuple('Probe', values)(**values)
	found = in_order([probe] + list(rows), order)
	return found[:next(i for i, row in enumerate(found) if row is probe)]


def rank(rows, order, **values):
	return len(before(rows, order, **values)) + 1


def dense_rank(rows, order, **values):
	peers = {tuple(column(row, name) for name in values) for row in before(rows, order, **values)}
	return len(peers) + 1


def ordered(rows, value, order):
	"""Rows for first() and its like: those with an order; ties by value, NULL last."""
	rows = [row for row in rows if column(row, order.split()[0]) is not None]
	return [column(row, value) for row in in_order(in_order(rows, value), order)]


def last(rows, value, order):
	"""What is greatest by order; of ties the least value."""
	return next(iter(ordered(rows, value, f'{order} DESC')), None)


def top(rows, value, order, count):
	"""As top_n_by with ties."""
	rows = in_order([row for row in rows if column(row, order) is not None], order + ' DESC')
	bound = [column(row, order) for row in rows[:count]][-1:]
	return ordered([row for row in rows if column(row, order) >= bound[0]], value, order + ' DESC')


# ---- kept as states ----

STATES = [
	Aggregate('count(*)', 'number', len),
	Aggregate('count(n)', 'number', lambda rows: len(present(rows, 'n'))),
	Aggregate('sum(n)', 'number', lambda rows: total(present(rows, 'n'))),
	Aggregate('sum(amount)', 'number', lambda rows: total(present(rows, 'amount'))),
	Aggregate('avg(amount)', 'average', lambda rows: average(present(rows, 'amount'))),
	Aggregate('avg(n)', 'average', lambda rows: average(present(rows, 'n'))),
	Aggregate('min(at)', 'time', lambda rows: least(present(rows, 'at'))),
	Aggregate('max(at)', 'time', lambda rows: greatest(present(rows, 'at'))),
	Aggregate('min(k)', 'text', lambda rows: least(present(rows, 'k'))),
	Aggregate('max(n)', 'number', lambda rows: greatest(present(rows, 'n'))),
	Aggregate('sum(n) FILTER (WHERE n % 2 = 0)', 'number',
		lambda rows: total([n for n in present(rows, 'n') if n % 2 == 0]), False),
	Aggregate("count(*) FILTER (WHERE k = 'a')", 'number',
		lambda rows: len([row for row in rows if row.k == 'a']), False),
	Aggregate('coalesce(sum(n), 0) + 2 * count(*)', 'number',
		lambda rows: (total(present(rows, 'n')) or 0) + 2 * len(rows), False),
]

# Our own
ORDERED = [
	Aggregate('first(n, at)', 'number', lambda rows: next(iter(ordered(rows, 'n', 'at')), None)),
	Aggregate('last(k, at)', 'text', lambda rows: last(rows, 'k', 'at')),
	Aggregate('min_by(k, amount)', 'text', lambda rows: next(iter(ordered(rows, 'k', 'amount')), None)),
	Aggregate('max_by(amount, n)', 'number', lambda rows: last(rows, 'amount', 'n')),
	Aggregate('first_n(n, at, 2)', 'text', lambda rows: array(ordered(rows, 'n', 'at')[:2])),
	Aggregate('last_n(k, n, 2)', 'text', lambda rows: array(ordered(rows, 'k', 'n DESC')[:2][::-1])),
	Aggregate('top_n_by(k, n, 2)', 'text', lambda rows: array(ordered(rows, 'k', 'n DESC')[:2])),
	Aggregate('top_n_by(n, g, 2, true)', 'text', lambda rows: array(top(rows, 'n', 'g', 2))),
	Aggregate('min_n(n, 3)', 'text', lambda rows: array(sorted(present(rows, 'n'))[:3])),
	Aggregate('max_n(amount, 2)', 'equal_numbers', lambda rows: equal_numbers(sorted(present(rows, 'amount'))[:-3:-1])),
	Aggregate('approx_count_distinct(n)', 'number', lambda rows: len(distinct(rows, 'n'))),
	Aggregate('approx_count_distinct(amount)', 'number', lambda rows: len(distinct(rows, 'amount'))),
	Aggregate('histogram(n, {}, {}, {})'.format(*HISTOGRAM), 'text', lambda rows: histogram(present(rows, 'n'))),
]

# ---- kept by their inputs ----

COUNTS = [
	Aggregate('count(DISTINCT n)', 'number', lambda rows: len(distinct(rows, 'n'))),
	Aggregate('count(DISTINCT amount)', 'number', lambda rows: len(distinct(rows, 'amount'))),
	Aggregate('count(DISTINCT k)', 'number', lambda rows: len(distinct(rows, 'k'))),
	Aggregate('count(DISTINCT (g, k))', 'number', lambda rows: len({(row.g, row.k) for row in rows})),
]
INPUTS = [
	Aggregate('sum(DISTINCT n)', 'number', lambda rows: total(distinct(rows, 'n'))),
	Aggregate('sum(DISTINCT amount)', 'number', lambda rows: total(distinct(rows, 'amount'))),
	Aggregate('array_agg(DISTINCT n ORDER BY n DESC)', 'text',
		lambda rows: array([None] * (None in [row.n for row in rows]) + sorted(distinct(rows, 'n'))[::-1])),
	Aggregate('array_agg(DISTINCT amount)', 'equal_numbers',
		lambda rows: equal_numbers(sorted(distinct(rows, 'amount')) + [None] * (None in [row.amount for row in rows]))),
	Aggregate("string_agg(DISTINCT k, ',')", 'text', lambda rows: joined(sorted(distinct(rows, 'k')), ',')),
	Aggregate('array_agg(n)', 'text', lambda rows: array(arranged(rows, 'n'))),
	Aggregate('array_agg(k)', 'text', lambda rows: array(arranged(rows, 'k'))),
	Aggregate('array_agg(amount)', 'numbers', lambda rows: numbers(arranged(rows, 'amount'))),
	Aggregate('array_agg(n ORDER BY g)', 'text', lambda rows: array(arranged(rows, 'n', 'g'))),
	Aggregate('array_agg(n ORDER BY n DESC NULLS LAST)', 'text',
		lambda rows: array(arranged(rows, 'n', 'n DESC NULLS LAST'))),
	Aggregate('array_agg(k ORDER BY amount DESC, g)', 'text',
		lambda rows: array(arranged(rows, 'k', 'amount DESC, g'))),
	Aggregate('array_agg(k ORDER BY at DESC)', 'text', lambda rows: array(arranged(rows, 'k', 'at DESC'))),
	Aggregate('array_agg(amount ORDER BY amount)', 'numbers',
		lambda rows: numbers(arranged(rows, 'amount', 'amount'))),
	Aggregate('array_agg(amount::text ORDER BY amount)', 'text',
		lambda rows: array(arranged(rows, 'amount::text', 'amount'))),
	Aggregate("string_agg(n::text, ',' ORDER BY n)", 'text', lambda rows: joined(arranged(rows, 'n::text', 'n'), ',')),
	Aggregate("string_agg(n::text, ',' ORDER BY k NULLS FIRST)", 'text',
		lambda rows: joined(arranged(rows, 'n::text', 'k NULLS FIRST'), ',')),
	Aggregate("string_agg(k, '')", 'text', lambda rows: joined(arranged(rows, 'k'), '')),
	Aggregate('json_agg(n)', 'text', lambda rows: json_array(arranged(rows, 'n'))),
	Aggregate('jsonb_agg(k ORDER BY n)', 'text', lambda rows: json_array(arranged(rows, 'k', 'n'))),
	Aggregate("jsonb_object_agg(coalesce(k, ''), n ORDER BY n)", 'text',
		lambda rows: json_object((row.k or '', row.n) for row in in_order(rows, 'n'))),
	Aggregate('jsonb_object_agg(k, n ORDER BY n) FILTER (WHERE k IS NOT NULL)', 'text',
		lambda rows: json_object((row.k, row.n) for row in in_order(rows, 'n') if row.k is not None), False),
	Aggregate('trail(n)', 'text', lambda rows: trail(arranged(rows, 'n'))),
	Aggregate('trail(n ORDER BY k DESC)', 'text', lambda rows: trail(arranged(rows, 'n', 'k DESC'))),
	Aggregate('trail(DISTINCT n)', 'text',
		lambda rows: trail(sorted(distinct(rows, 'n')) + [None] * (None in [row.n for row in rows]))),
	Aggregate('percentile_disc(0.5) WITHIN GROUP (ORDER BY n)', 'number',
		lambda rows: percentile(rows, 'n', Fraction(1, 2))),
	Aggregate('percentile_disc(0.5) WITHIN GROUP (ORDER BY amount DESC)', 'number',
		lambda rows: percentile(rows, 'amount DESC', Fraction(1, 2))),
	Aggregate('percentile_disc(0.25) WITHIN GROUP (ORDER BY at)', 'time',
		lambda rows: percentile(rows, 'at', Fraction(1, 4))),
	Aggregate('percentile_disc(ARRAY[0, 0.75, 1]) WITHIN GROUP (ORDER BY n DESC)', 'text',
		lambda rows: array([percentile(rows, 'n DESC', Fraction(quarters, 4)) for quarters in (0, 3, 4)]
			if present(rows, 'n') else [])),
	Aggregate('percentile_cont(0.5) WITHIN GROUP (ORDER BY n)', 'number', lambda rows: median(rows, 'n')),
	Aggregate('mode() WITHIN GROUP (ORDER BY n)', 'number', lambda rows: mode(rows, 'n')),
	Aggregate('mode() WITHIN GROUP (ORDER BY k DESC)', 'text', lambda rows: mode(rows, 'k DESC')),
	Aggregate('mode() WITHIN GROUP (ORDER BY amount)', 'number', lambda rows: mode(rows, 'amount')),
	Aggregate('rank(2) WITHIN GROUP (ORDER BY n)', 'number', lambda rows: rank(rows, 'n', n=2)),
	Aggregate("dense_rank(1, 'b') WITHIN GROUP (ORDER BY g, k DESC)", 'number',
		lambda rows: dense_rank(rows, 'g, k DESC', g=1, k='b')),
	Aggregate('cardinality(array_agg(n)) - count(DISTINCT n)', 'number',
		lambda rows: len(rows) - len(distinct(rows, 'n')) if rows else None, False),
	Aggregate('sum(n) + 100 * count(DISTINCT n)', 'number',
		lambda rows: total(present(rows, 'n')) + 100 * len(distinct(rows, 'n')) if present(rows, 'n') else None,
		False),
]

# Of the table that a view joins
LABELS = [
	Aggregate('count(DISTINCT label)', 'number', lambda rows: len(distinct(rows, 'label'))),
	Aggregate('array_agg(label)', 'text', lambda rows: array(arranged(rows, 'label'))),
	Aggregate("string_agg(label, ',' ORDER BY n)", 'text', lambda rows: joined(arranged(rows, 'label', 'n'), ',')),
]

# Whose direct argument is the group's key g
RANK_OF_KEY = Aggregate('rank(g) WITHIN GROUP (ORDER BY n)', 'number',
	lambda rows: 1 + len([row for row in rows if sort_key(row.n, True) < sort_key(rows[0].g, True)]), False)
