"""PostgreSQL with streamx: plays a history and compares what it shows with the reference.

A history's player does the steps; see history.py and topic.py.
"""

import re
import time
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal

import psycopg2
import psycopg2.extensions

import aggregates
import reference
from query import NEEDED, STREAM

DATABASE = 'streamx_model'

PREPARED_EVERY = 2  # views: one is read by the plan of the first time

# Everything comes as text, exactly as the server writes it
TEXT = psycopg2.extensions.new_type((16, 20, 21, 23, 25, 114, 700, 701, 1007, 1009, 1016, 1082, 1114,
	1184, 1231, 1700, 3802, 3908, 3910), 'TEXT', lambda text, _: text)


class Difference(Exception):
	"""The engine is not as the reference says."""

	def __init__(self, what, step, detail, view=None):
		super().__init__(what)
		self.what = what
		self.step = step
		self.detail = detail
		self.view = view


# ---- what the server writes ----

instants = {}


def instant(text):
	if text not in instants:
		at = datetime.fromisoformat(text)
		if at.tzinfo:
			at = at.astimezone(timezone.utc).replace(tzinfo=None)
		instants[text] = reference.microseconds(at)
	return instants[text]


windows = {}


def elements(text):
	return [None if element == 'NULL' else Decimal(element) for element in text[1:-1].split(',')]


def window(text):
	if text not in windows:
		if not text.startswith('['):
			return text  # no window of ours
		start, end = text.strip('[)').split(',')
		windows[text] = (instant(start.strip('"')), instant(end.strip('"')))
		if len(windows) > 100000:
			windows.clear()
			instants.clear()
			return window(text)
	return windows[text]


PARSERS = {
	'text': str,
	'number': Decimal,
	'numbers': lambda text: aggregates.numbers(elements(text)),
	'equal_numbers': lambda text: aggregates.equal_numbers(elements(text)),
	'average': lambda text: aggregates.rounded(Decimal(text)),
	'time': instant,
	'window': window,
}


def parsed(types, row):
	return tuple(None if text is None else PARSERS[type](text) for type, text in zip(types, row))


def printed(types, row):
	"""A row for people."""
	def value(type, value):
		if value is None:
			return 'NULL'
		if type == 'time':
			return reference.clock(value).isoformat(sep=' ')
		if type == 'window' and isinstance(value, tuple):
			return f"[{printed(['time', 'time'], value)[1:-1]})"
		return str(value)
	return '(' + ', '.join(value(*pair) for pair in zip(types, row)) + ')'


def compare(what, types, expected, found, step, view=None):
	expected, found = Counter(expected), Counter(found)
	if expected == found:
		return
	lines = [f'missing {printed(types, row)}' for row in (expected - found).elements()]
	lines += [f'extra   {printed(types, row)}' for row in (found - expected).elements()]
	raise Difference(what, step, '\n'.join(sorted(lines)), view)


class Engine:
	"""A database of its own on the server that the environment names."""

	def __init__(self):
		self.broker = None
		self.connect('postgres')
		self.execute(f'DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)')
		self.execute(f'CREATE DATABASE {DATABASE}')
		self.reconnect()
		self.execute('CREATE EXTENSION streamx')
		self.execute('; '.join(NEEDED.values()))
		self.can_retain_inputs = self.has_view_option('retain_inputs')

	def connect(self, database=DATABASE):
		self.connection = psycopg2.connect(dbname=database)
		self.connection.autocommit = True
		psycopg2.extensions.register_type(TEXT, self.connection)
		self.cursor = self.connection.cursor()
		self.prepared = set()
		# compiling would take longer than running what is compiled
		self.execute("SET timezone = 'UTC'; SET client_min_messages = error; SET statement_timeout = '60s'; SET jit = off")

	def has_view_option(self, name):
		try:
			self.execute(f"""BEGIN; CREATE FOREIGN TABLE {STREAM} (n int) SERVER streamx;
				CREATE VIEW v WITH (streamx.continuous, streamx.{name}) AS SELECT count(DISTINCT n) FROM {STREAM}""")
			return True
		except psycopg2.Error:
			return False
		finally:
			self.execute('ROLLBACK')

	def forget_plans(self):
		self.execute('DEALLOCATE ALL')
		self.prepared = set()

	def reconnect(self):
		self.connection.close()
		self.connect()

	def close(self):
		self.connection.close()
		self.connect('postgres')
		self.execute(f'DROP DATABASE {DATABASE} WITH (FORCE)')
		if self.broker:
			self.broker.close()

	def clear(self):
		"""Begin anew, wherever a history ended, even if the server crashed then."""
		for attempt in range(60):
			try:
				self.reconnect()
				return self.execute(f'DROP FOREIGN TABLE IF EXISTS {STREAM} CASCADE')
			except psycopg2.OperationalError:
				time.sleep(1)
		raise SystemExit('Bail out! the server is gone')

	def execute(self, sql):
		self.cursor.execute(sql)

	def rows(self, sql):
		self.cursor.execute(sql)
		return self.cursor.fetchall()

	def play(self, history):
		"""Returns the reference's reader, if there is one for the whole history; raises Difference."""
		number = None
		try:
			self.forget_plans()
			player = history.player(self)
			for number, step in enumerate(history.steps):
				player.follow(number, step)
			number = None
			reader = player.finish()
			self.execute(f'DROP FOREIGN TABLE {STREAM} CASCADE')
			return reader
		except psycopg2.Error as error:
			self.clear()
			view = re.search('continuous view "(.*)"', str(error))
			raise Difference(f'error {error.pgcode}', number, str(error),
				view and view[1]) from None
		except Difference:
			self.clear()
			raise

	def check(self, reader, step):
		for name, view in reader.views.items():
			types = view.query.types()
			found = [parsed(types, row) for row in self.read(name)]
			compare(f'view {name}', types, view.result(), found, step, name)
		self.check_late(reader, step)
		self.check_watermark(reader, step)

	def read(self, name):
		if int(name[1:]) % PREPARED_EVERY:
			return self.rows(f'SELECT * FROM {name}')
		if name not in self.prepared:
			self.execute(f'PREPARE {name} AS SELECT * FROM {name}')
			self.prepared.add(name)
		return self.rows(f'EXECUTE {name}')

	def check_late(self, reader, step):
		types = ('text', 'number', 'number', 'time', 'time', 'time', 'text')
		found = [parsed(types, row) for row in self.rows(f"""
			SELECT view::text, "partition", "offset", event_time, watermark, refused_through, counted::text
			FROM streamx.late_rows WHERE stream = '{STREAM}'::regclass""")]
		for name, view in reader.views.items():
			expected = [(name, *late[:-1], 'true' if late.counted else 'false') for late in view.late]
			compare(f'late rows of {name}', types, expected,
				[row for row in found if row[0] == name], step, name)

	def check_watermark(self, reader, step):
		if not reader.views:
			return
		calls = ', '.join(f"streamx.watermark('{name}')" for name in reader.views)
		for name, text in zip(reader.views, self.rows(f'SELECT {calls}')[0]):
			compare(f'watermark of {name}', ['time'], [(reader.watermark,)],
				[parsed(['time'], [text])], step, name)

	def verify(self, reader):
		for name in reader.views:
			found = self.rows(f"SELECT difference, row::text FROM streamx.verify('{name}')")
			compare(f'verify of {name}', ['text', 'text'], [], found, None, name)
