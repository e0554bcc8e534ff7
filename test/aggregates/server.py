"""A database with a table of rows, and rounds of views over a stream that is fed with them."""

import time

import psycopg2

import calls
import values

DATABASE = 'streamx_aggregates'
START = "timestamptz '2024-05-01 10:00Z'"
REFUSED = '0A000'  # what a view may not contain


class Crash(Exception):
	"""The server went away."""


class Server:
	"""A database of its own on the server that the environment names."""

	def __init__(self, own):
		self.connect('postgres')
		self.execute(f'DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)')
		self.execute(f'CREATE DATABASE {DATABASE}')
		self.reconnect()
		self.execute('CREATE EXTENSION streamx')
		self.execute(own)

	def connect(self, database=DATABASE):
		self.connection = psycopg2.connect(dbname=database)
		self.connection.autocommit = True
		self.cursor = self.connection.cursor()
		# Compiling so many calls takes longer than running them
		self.execute("SET timezone = 'UTC'; SET client_min_messages = error; SET statement_timeout = '60s'; SET jit = off")

	def reconnect(self):
		self.connection.close()
		self.connect()

	def recover(self):
		"""After a crash."""
		for attempt in range(60):
			try:
				self.reconnect()
				return self.execute('DROP FOREIGN TABLE IF EXISTS events CASCADE')
			except (psycopg2.OperationalError, Crash):
				time.sleep(1)
		raise SystemExit('Bail out! the server is gone')

	def close(self):
		self.connection.close()
		self.connect('postgres')
		self.execute(f'DROP DATABASE {DATABASE} WITH (FORCE)')

	def execute(self, sql):
		try:
			self.cursor.execute(sql)
		except psycopg2.Error:
			if self.connection.closed:
				raise Crash() from None
			raise

	def rows(self, sql):
		self.execute(sql)
		return self.cursor.fetchall()

	# ---- rows ----

	def make_rows(self, columns, random, count):
		"""The table samples, of which each round's rows are an arrangement."""
		declared = ', '.join([*calls.COLUMNS, *(values.declaration(column) for column in columns)])
		self.declared = declared
		self.count = count
		lines = [self.sample(columns, random, number) for number in range(1, count + 1)]
		self.execute(f'CREATE TABLE samples ({declared}); CREATE TABLE rows (LIKE samples)')
		self.execute('INSERT INTO samples VALUES ' + ', '.join(lines))

	def sample(self, columns, random, number):
		"""Event times are in six windows, some are equal; groups are of different sizes, and NULL."""
		found = [f'{START} + interval \'{10 * random.randrange(360)} seconds\'', str(number),
			random.choice(['0', '1', '1', '1', '2', '2', 'NULL']), random.choice(['0', '1', '2', '2', '3', 'NULL']),
			random.choice(["'a'", "'b'", "'b'", "'c'", 'NULL'])]
		for column in columns:
			value = values.pick(random, column)
			found.append('NULL' if value is None else "'" + value.replace("'", "''") + "'")
		return '(' + ', '.join(found) + ')'

	def arrange(self, random):
		"""Rows of a new order: n and, with it, offsets."""
		order = list(range(1, self.count + 1))
		if random.random() < 0.7:
			random.shuffle(order)
			ordered = f"unnest('{{{','.join(map(str, order))}}}'::int[]) WITH ORDINALITY o (old, n)"
		else:
			ordered = '(SELECT n AS old, row_number() OVER (ORDER BY at, n) AS n FROM samples) o'
		names = [declared.split()[0] for declared in self.declared.split(', ')]
		selected = ', '.join('o.n' if name == 'n' else name for name in names)
		self.execute(f'TRUNCATE rows; INSERT INTO rows SELECT {selected} FROM samples s JOIN {ordered} ON old = s.n')

	def batches(self, random):
		"""Of random sizes, many of them small, as (first, last) n."""
		first = 1
		while first <= self.count:
			last = min(self.count, first + random.choice([0, 1, 5, 20, 60, 90]))
			yield first, last
			first = last + 1

	# ---- a round ----

	def open_stream(self, is_retained):
		retain = 'on' if is_retained else 'off'
		self.execute(f"""CREATE FOREIGN TABLE events ({self.declared}) SERVER streamx
			OPTIONS (event_time 'at', watermark_delay '1 day', retain '{retain}')""")

	def close_stream(self):
		self.execute('DROP FOREIGN TABLE events CASCADE')

	def feed(self, random):
		"""All rows, a transaction for each batch.  Returns the error that ends it, if any."""
		for first, last in self.batches(random):
			try:
				self.execute(f'INSERT INTO events SELECT * FROM rows WHERE n BETWEEN {first} AND {last} ORDER BY n')
			except psycopg2.Error as error:
				return f'INSERT: {error}'
		return None

	def differences(self, view):
		"""Of each call's column: how many groups differ, and an example, as {call: text}."""
		found = self.shown(view, f'SELECT * FROM {view.name}')
		expected = self.shown(view, view.expected('rows'), calls.ONE_OF)
		if found.keys() != expected.keys():
			groups = sorted(map(str, found.keys() ^ expected.keys()))
			return {call: f'{len(groups)} groups are in one only, as {groups[0]}' for call in view.calls}
		differences = {}
		for number, call in enumerate(view.calls):
			wrong = [key for key in expected if not is_same(call, expected[key][number], found[key][number])]
			if wrong and call.compare == calls.EQUAL:
				wrong = self.unequal(view, number)
			if wrong:
				wrong.sort(key=lambda key: len(expected[key][number] or ''))
				differences[call] = f'{len(wrong)} of {len(expected)} groups differ, as {wrong[0]}:\n' \
					f'found    {found[wrong[0]][number]}\nexpected {expected[wrong[0]][number]}'
		return differences

	def shown(self, view, query, as_it_is=None):
		"""Values by keys, both as texts, but for those that are compared in the way as_it_is."""
		nkeys = len(view.keys())
		listed = [f'{key}::text' for key in view.keys()]
		for number, call in enumerate(view.calls, 1):
			listed.append(f'c{number}' if call.compare == as_it_is else f'c{number}::text')
		return {row[:nkeys]: row[nkeys:] for row in self.rows(f"SELECT {', '.join(listed)} FROM ({query}) q")}

	def unequal(self, view, number):
		"""Those of a column's groups whose values differ by more than their texts."""
		keys = ', '.join(f'e.{key}::text' for key in view.keys()) or 'NULL'
		same = ' AND '.join(f'v.{key} IS NOT DISTINCT FROM e.{key}' for key in view.keys()) or 'true'
		return [row[:len(view.keys())] for row in self.rows(f"""
			SELECT {keys} FROM {view.name} v JOIN ({view.expected('rows')}) e ON {same}
			WHERE v.c{number + 1} IS DISTINCT FROM e.c{number + 1}""")]

	def verify(self, view):
		"""What streamx.verify finds, as text."""
		has_close = any(call.compare == calls.CLOSE for call in view.calls)
		found = self.rows(f"SELECT difference, row::text FROM streamx.verify('{view.name}'"
			+ (f', tolerance => {calls.TOLERANCE})' if has_close else ')'))
		return '\n'.join(' '.join(row) for row in found[:4])


def is_same(call, expected, found):
	if call.compare == calls.CLOSE:
		return is_close(expected, found)
	if call.compare == calls.ONE_OF:
		return found is None if expected is None else found in expected
	return expected == found


def is_close(expected, found):
	if expected is None or found is None:
		return expected is found
	expected, found = float(expected), float(found)
	if expected != expected:
		return found != found
	return expected == found or abs(expected - found) <= calls.TOLERANCE * max(1, abs(expected), abs(found))
