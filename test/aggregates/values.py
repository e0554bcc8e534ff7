"""The columns that aggregates are given: types, and the values that appear in them.

Of each type there are two columns of plain values, <type>_1 and <type>_2, and
where there is anything special to it, a column <type>_3 of all its values:
infinities, empty strings, and values that are equal and look different (1.0 and
1.00, 0 and -0), in which case the type is ambiguous.  Everywhere a few values
come again and again, and some are NULL.  Floating-point numbers are whole and
small, so that their sums are exact in any order.
"""

from collections import namedtuple

NULLS = 0.15

Type = namedtuple('Type', 'name plain special is_ambiguous collation')
Column = namedtuple('Column', 'name type is_special')

LONG = 'long ' * 2500
# Longer than an index takes, and hardly compressible
RANDOM = ''.join(format(pow(3, i, 1000003), 'x') for i in range(1500))


def type_of(name, plain, special=(), is_ambiguous=False, collation=None):
	return Type(name, plain.split() if isinstance(plain, str) else plain, special, is_ambiguous, collation)


TYPES = [
	type_of('bool', 't t f'),
	type_of('int2', '-3 0 1 2 2 7 30000'),
	type_of('int4', '-4 -3 0 1 2 2 3 77', ['2147483647', '-2147483648']),
	type_of('int8', '-5 -3 0 1 2 2 7 123456789012', ['9223372036854775807', '-9223372036854775808']),
	type_of('float4', '-6 -1 0 1 2 2 3 40', ['-0', '0', 'Infinity', '-Infinity', 'NaN'], True),
	type_of('float8', '-7 -1 0 1 2 2 3 50 1000', ['-0', '0', 'Infinity', '-Infinity', 'NaN'], True),
	type_of('numeric', '-1.25 0 0.001 1.5 2 2 10 12345678901234567890.123',
		['1', '1.0', '1.00', '0.00', '-0.0', 'NaN', 'Infinity', '-Infinity'], True),
	type_of('money', '-1.50 0 2.00 2.00 10.25'),
	type_of('date', '2024-02-29 2024-02-29 1999-12-31 0044-03-15', ['infinity', '-infinity']),
	type_of('time', '00:00 12:30 12:30 23:59:59.999999', ['24:00']),
	type_of('timetz', '12:00+00 12:00+02 10:00+00 23:00-05'),
	type_of('timestamp', '2024-05-01T10:00 2024-05-01T10:00 1969-07-20T20:17', ['infinity', '-infinity']),
	type_of('timestamptz', '2024-05-01T10:00Z 2024-05-01T10:00Z 2024-03-31T02:30+01 1969-07-20T20:17Z',
		['infinity', '-infinity']),
	type_of('interval', ['1 day', '2 hours', '2 hours', '-3 minutes', '1 month'],
		['24 hours', '1 day', '30 days', '720 hours', '0', '1 month -30 days'], True),
	type_of('text', ['a', 'b', 'b', 'B', 'ab', 'é', "it's", '{"x": 1}'], ['', ' ', 'a ', '\\', LONG, RANDOM]),
	type_of('any_case', ['a', 'b', 'é'], ['A', 'B', 'É', ''], True, 'own.any_case'),
	type_of('bpchar', ['a', 'b', 'b', 'cd'], ['a ', 'b  ', '', ' '], True),
	type_of('oid', '1 2 2 4000000000'),
	type_of('xid8', '1 2 2 18446744073709551615'),
	type_of('tid', ['(0,1)', '(0,2)', '(0,2)', '(7,1)']),
	type_of('pg_lsn', '0/0 1/A 1/A FF/0'),
	type_of('inet', '10.0.0.1 10.0.0.1 10.0.0.1/8 ::1 192.168.0.0/16'),
	type_of('bit(8)', '00000000 10101010 10101010 11110000'),
	type_of('bytea', [r'\x00', r'\x01ff', r'\x01ff', r'\x27'], [r'\x', r'\x' + '5c' * 9000]),
	type_of('uuid', ['00000000-0000-0000-0000-000000000001'] * 2 + ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']),
	type_of('json', ['1', '{"a": 1}', '{"a":1}', 'null', '[]']),
	type_of('jsonb', ['1', '{"a": 1}', '{"a": 1}', 'null', '[]', '"x"'], ['1.0', '1.00', '{"a": 1.0}', '{}'], True),
	type_of('xml', ['<a/>', '<a/>', '<b>1</b>', 'text']),
	type_of('point', ['(1,2)', '(1,2)', '(-3,0)']),
	type_of('int8[]', ['{1,2}', '{1,2}', '{3}', '{-1,NULL}'], ['{}', '{{1,2},{3,4}}', '[2:3]={1,2}', '{NULL}']),
	type_of('text[]', ['{a,b}', '{a,b}', '{c}', '{B,NULL}'], ['{}', '{""}', '{"NULL"}', '{{a},{b}}']),
	type_of('numeric[]', ['{1.5}', '{1.5,2}', '{-3,NULL}'], ['{1.0}', '{1.00}', '{1}', '{NaN}', '{}'], True),
	type_of('int4range', ['[1,5)', '[1,5)', '[2,9)', '[7,8)'], ['empty', '(,)', '[3,)', '(,3]']),
	type_of('numrange', ['[1.5,5)', '[1.5,5)', '(2,9.25]'], ['empty', '[1.0,2)', '[1.00,2)', '[1,2.0)', '(,)'], True),
	type_of('tstzrange', ['[2024-05-01 10:00Z,2024-05-01 11:00Z)', '[2024-05-01 10:30Z,2024-05-01 12:00Z)'],
		['empty', '[-infinity,infinity]', '(,)']),
	type_of('int8multirange', ['{[1,5)}', '{[1,5)}', '{[2,4),[7,9)}'], ['{}', '{(,)}', '{[3,)}']),
	type_of('nummultirange', ['{[1.5,5)}', '{(2,9]}', '{[0,1],[3,4]}'], ['{}', '{[1.0,2)}', '{[1.00,2.0)}'], True),
	type_of('own.mood', 'sad fine fine happy'),
	type_of('own.pair', ['(1,2.5,a)', '(1,2.5,a)', '(1,2.5,b)', '(2,,)'],
		['(1,2.50,a)', '(1,2.500,a)', '(,,)', '(1,2.5,"")', '(0,NaN,"a,b")'], True),
	type_of('own.small', '0 1 1 2'),
	type_of('own.word', ['x', 'yy', 'yy', 'zzz'], ['']),
	type_of('own.span', ['[1,5)', '[1,5)', '[2,9)'], ['empty', '[-0,1)', '[0,1)', '[-Infinity,Infinity]'], True),
	type_of('own.spans', ['{[1,5)}', '{[2,4),[7,9)}'], ['{}', '{[0,1)}', '{[-0,1)}'], True),
	type_of('distinct_sketch', []),
	type_of('quantile_sketch', []),
	type_of('top_k_sketch', []),
]

# What the server makes of sketches; x is what they are of
SKETCHES = {
	'distinct_sketch': "distinct_sketch_agg(x)",
	'quantile_sketch': "quantile_sketch_agg(x)",
	'top_k_sketch': "top_k_sketch_agg(x::text, 4)",
}


def types(rows):
	"""The types of TYPES with values for all, by name; rows asks the server."""
	found = {type.name: type for type in TYPES}
	if rows("SELECT current_setting('server_version_num')::int >= 170000")[0][0]:
		found['interval'].special.append('infinity')
	for name, call in SKETCHES.items():
		values = [rows(f'SELECT {call}::text FROM generate_series({first}, {last}) x')[0][0]
			for first, last in ((1, 1), (1, 5), (4, 9), (4, 9))]
		found[name] = found[name]._replace(plain=values)
	return found


def column_name(type, number):
	base = type.split('.')[-1].split('(')[0].replace('[]', '_array')
	return f'{base}_{number}'


def columns(types):
	for type in types.values():
		for number in (1, 2, 3) if type.special else (1, 2):
			yield Column(column_name(type.name, number), type, number == 3)


def declaration(column):
	if column.type.collation:
		return f'{column.name} text COLLATE {column.type.collation}'
	return f'{column.name} {column.type.name}'


def pick(random, column):
	"""A value, as text."""
	if random.random() < NULLS:
		return None
	values = column.type.plain
	if column.is_special:
		values = [*values, *column.type.special]
	return random.choice(values)
