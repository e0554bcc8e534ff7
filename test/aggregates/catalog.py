"""What can be called: the aggregates of pg_aggregate, and arguments for each.

An instance is an aggregate with types for its polymorphic arguments, and with
columns (see values.py) or constants as arguments.
"""

from collections import namedtuple

import values

AGGREGATES = """
	SELECT p.oid::int8, n.nspname, p.proname, p.oid::regprocedure::text, a.aggkind::text, a.aggnumdirectargs,
	       ARRAY(SELECT CASE WHEN tn.nspname = 'own' THEN 'own.' ELSE '' END ||
	                    CASE WHEN t.typelem <> 0 AND t.typsubscript = 'array_subscript_handler'::regproc
	                         THEN (SELECT e.typname || '[]' FROM pg_type e WHERE e.oid = t.typelem) ELSE t.typname END
	             FROM unnest(p.proargtypes) WITH ORDINALITY u (oid, i) JOIN pg_type t USING (oid)
	             JOIN pg_namespace tn ON tn.oid = t.typnamespace ORDER BY i),
	       p.provariadic <> 0, p.prorettype::regtype::text
	FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname IN ('pg_catalog', 'own')
	   OR EXISTS (SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
	              WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	                AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'streamx')
	ORDER BY n.nspname <> 'pg_catalog', n.nspname, a.aggkind, p.proname, p.oid::regprocedure::text"""

# nspname: public is streamx's own
Aggregate = namedtuple('Aggregate', 'oid schema name signature kind direct types is_variadic result')
# is_of_type: a column, or some, of the type chosen; is_sorted: an order exists; may_tie: 1.0 and 1.00 may be among the values
Argument = namedtuple('Argument', 'sql is_of_type is_sorted may_tie is_constant', defaults=(True, False, False))
Instance = namedtuple('Instance', 'aggregate title direct arguments')

# Types for each polymorphic one; the first few have more to them than the others
UNSORTED = ['json', 'xml', 'point']
ELEMENTS = ['numeric', 'text', 'int8', 'timestamptz', 'own.pair', 'own.mood', 'int4range', 'int8multirange', 'own.small',
	'any_case', 'jsonb', 'bytea', 'uuid', 'bool', 'float8']
ARRAYS = ['int8[]', 'text[]', 'numeric[]']
CHOICES = {
	'any': ELEMENTS + ARRAYS + UNSORTED,
	'anyelement': ELEMENTS + ARRAYS + UNSORTED,
	'anynonarray': ELEMENTS + UNSORTED,
	'anycompatible': ELEMENTS + ARRAYS,
	'anycompatiblenonarray': ELEMENTS,
	'anyarray': ARRAYS,
	'anycompatiblearray': ARRAYS,
	'anyenum': ['own.mood'],
	'anyrange': ['numrange', 'int4range', 'tstzrange', 'own.span'],
	'anycompatiblerange': ['numrange', 'int4range', 'tstzrange'],
	'anymultirange': ['nummultirange', 'int8multirange', 'own.spans'],
	'anycompatiblemultirange': ['nummultirange', 'int8multirange'],
	'record': ['own.pair'],
	'bit': ['bit(8)'],
}

# Only with values that have an order
SORTING = {'mode', 'percentile_disc', 'rank', 'dense_rank', 'percent_rank', 'cume_dist', 'min_n', 'max_n', 'ends', 'greater_of',
	'most', 'at_fraction', 'middle', 'standing', 'approx_count_distinct', 'distinct_sketch_agg'}
TOP_K = {'approx_top_k', 'top_k_sketch_agg'}
TOP_K_TYPES = ['numeric', 'text', 'int8', 'timestamptz', 'own.mood', 'int4range', 'bool']

# Arguments that are not columns, by name and number
TEMPLATES = {
	('string_agg', 1): ["', '", None],
	('approx_percentile', 1): {'float8': ['0.9'], 'float8[]': ["'{0,0.25,0.9}'::float8[]"]},
	('approx_top_k', 1): ['4'],
	('top_k_sketch_agg', 1): ['4'],
	('histogram', 1): ['-5'],
	('histogram', 2): ['10'],
	('histogram', 3): ['6'],
	('min_n', 1): ['3'],
	('max_n', 1): ['3'],
	('percentile_cont', 0): {'float8': ['0.3', 'g / 4.0'], 'float8[]': ["'{0,0.3,NULL,1}'::float8[]"]},
	('percentile_disc', 0): {'float8': ['0.3', 'g / 4.0'], 'float8[]': ["'{{0.1,0.5},{0.9,1}}'::float8[]"]},
	('at_fraction', 0): ['0.3', 'g / 4.0'],
	**{(name, 2): ['3'] for name in ('first_n', 'last_n', 'top_n_by')},
	('top_n_by', 3): ['true', 'false'],
}

# Arrays of one shape, none of which is NULL, are what can be made one array
SHAPED = {'array_agg', 'first_n', 'last_n', 'top_n_by', 'min_n', 'max_n', 'array_concat_agg'}


class Cannot(Exception):
	"""An aggregate cannot be called; why."""


def aggregates(rows):
	return [Aggregate(*row) for row in rows(AGGREGATES)]


def is_plain_only(aggregate):
	# Between two infinite intervals there is nothing
	return aggregate.name == 'percentile_cont' and 'interval' in aggregate.types


class Instances:
	"""Makes the instances of an aggregate: count of each polymorphic one, and others for special values."""

	def __init__(self, types, random, count):
		self.types = types
		self.random = random
		self.count = count

	def of(self, aggregate):
		"""Raises Cannot."""
		if any(type == 'internal' for type in aggregate.types):
			raise Cannot('it has an argument of type internal')
		if aggregate.kind != 'n' and 'any' in aggregate.types:
			return list(self.hypothetical(aggregate))
		return list(self.ordinary(aggregate))

	def ordinary(self, aggregate):
		numbers = range(len(aggregate.types))
		choices = [self.choices(aggregate, number) for number in numbers]
		is_polymorphic = any(len(choice) > 1 for choice in choices)
		counts = [min(self.count, len(choice)) for choice in choices]
		counts += [len(self.templates(aggregate, number, choices[number][0])) for number in numbers]
		for index in range(max(counts, default=1)):
			chosen = self.agreed(aggregate, [choice[index % len(choice)] for choice in choices])
			has_special = not is_plain_only(aggregate) and \
				any(self.types[type].special for type in chosen if type in self.types)
			for is_special in {has_special and index // 2 % 2 == 1} if is_polymorphic else sorted({False, has_special}):
				yield from self.made(aggregate, chosen, is_special, index)

	def choices(self, aggregate, number):
		"""Types for one argument, shuffled."""
		type = aggregate.types[number]
		if type not in CHOICES:
			if type not in self.types and (aggregate.name, number) not in TEMPLATES:
				raise Cannot(f'there are no values of type {type}')
			return [type]
		found = list(CHOICES[type])
		if aggregate.name in TOP_K:
			found = [type for type in found if type in TOP_K_TYPES]
		elif aggregate.name in SORTING:
			found = [type for type in found if type not in UNSORTED]
		if type == 'anyelement' and aggregate.result == 'anyarray':
			found = [type for type in found if type not in ARRAYS]
		self.random.shuffle(found)
		return found

	def agreed(self, aggregate, chosen):
		"""Polymorphic arguments of one family have one type."""
		for family in ('any', 'anycompatible'):
			ends = ('element', 'nonarray', 'array', '', 'enum', 'range', 'multirange')
			members = [number for number, type in enumerate(aggregate.types)
				if type != 'any' and type in [family + end for end in ends]]
			for number in members[1:]:
				if aggregate.types[number] != aggregate.types[members[0]]:
					raise Cannot(f'its polymorphic arguments {", ".join(aggregate.types)} are not known here')
				chosen[number] = chosen[members[0]]
		return chosen

	def made(self, aggregate, types, is_special, index):
		arguments = [self.argument(aggregate, number, type, is_special and self.is_first(aggregate, number), index)
			for number, type in enumerate(types)]
		title = ', '.join(type for number, type in enumerate(types) if arguments[number].is_of_type)
		title += ', special values' if is_special else ''
		if aggregate.is_variadic:
			yield from self.variadic(aggregate, title, arguments[:-1], types[-1], is_special)
		else:
			yield Instance(aggregate, title, arguments[:aggregate.direct], arguments[aggregate.direct:])

	def variadic(self, aggregate, title, arguments, type, is_special):
		"""One argument, more, and as an array."""
		element = type.removesuffix('[]')
		columns = [self.column(element, number, is_special and number == 1) for number in (1, 2)]
		array = self.column(type, 1, is_special)
		yield Instance(aggregate, element, [], arguments + columns[:1])
		yield Instance(aggregate, f'{element}, {element}', [], arguments + columns)
		yield Instance(aggregate, f'VARIADIC {title}', [], arguments + [array._replace(sql='VARIADIC ' + array.sql)])

	def is_first(self, aggregate, number):
		return number == aggregate.direct

	def argument(self, aggregate, number, type, is_special, index):
		templates = self.templates(aggregate, number, type)
		if templates and templates[index % len(templates)]:
			return Argument(templates[index % len(templates)], False, is_constant=True)
		if '_object_agg' in aggregate.name and number == 0:
			return self.key(aggregate, index)
		if aggregate.name in SHAPED and type in ARRAYS:
			element = type.removesuffix('[]')
			shaped = ', '.join(self.column(element, i, False).sql for i in (1, 2))
			return Argument(f'ARRAY[{shaped}]', True)
		return self.column(type, 1 + aggregate.types[:number].count(aggregate.types[number]) % 2, is_special)

	def templates(self, aggregate, number, type):
		found = TEMPLATES.get((aggregate.name, number), [])
		return found[type] if isinstance(found, dict) else found

	def column(self, type, number, is_special):
		found = self.types[type]
		is_special = is_special and bool(found.special)
		is_sorted = type not in UNSORTED and type not in values.SKETCHES
		return Argument(values.column_name(type, 3 if is_special else number), True, is_sorted, is_special and found.is_ambiguous)

	def key(self, aggregate, index):
		"""Keys of JSON objects are not NULL, and of some not twice the same."""
		if 'unique' in aggregate.name:
			return Argument('n', False)
		return Argument(["coalesce(text_1, 'none')", 'coalesce(timestamptz_1, at)', 'coalesce(int8_1, 0)'][index % 3], False)

	def hypothetical(self, aggregate):
		"""Direct arguments are constants, or keys of the group."""
		if aggregate.types != ['any']:
			raise Cannot(f'its arguments {", ".join(aggregate.types)} are not known here')
		yield Instance(aggregate, 'int4 and a group key', [Argument('g', False)], [self.column('int4', 1, False)])
		choices = self.choices(aggregate, 0)
		for index in range(min(self.count, len(choices))):
			types = choices[index:index + 1 + index % 2]
			columns = [self.column(type, 1, index % 2 == 0) for type in types]
			yield Instance(aggregate, ', '.join(types), [self.constant(type) for type in types], columns)

	def constant(self, type):
		value = self.random.choice(self.types[type].plain).replace("'", "''")
		collation = self.types[type].collation
		return Argument(f"'{value}'::text COLLATE {collation}" if collation else f"'{value}'::{type}", True, is_constant=True)
