"""A stream's history: its views and what a session does to it.

Steps are tuples; whatever is needed to repeat a history, or a part of it, is in
it.

	('create', NAME)            a view that is created only now
	('insert', ROWS)            one INSERT; ('copy', ROWS) likewise
	('begin',) ('commit',) ('rollback',)
	('savepoint', NAME) ('rollback to', NAME) ('release', NAME)
	('read',)                   in a transaction: what was inserted is merged, and looked at
"""

import io

import reference
from query import NEEDED, STREAM, interval, literal, timestamp
from reference import Length


class History:
	def __init__(self, delay, time_type, views, steps):
		self.delay = delay
		self.time_type = time_type
		self.views = views  # name: (Query, whether it starts with the earliest row)
		self.steps = steps

	def with_steps(self, steps):
		return self.remade(self.views, steps)

	def with_views(self, views):
		steps = [step for step in self.steps if step[0] != 'create' or step[1] in views]
		return self.remade(views, steps)

	def remade(self, views, steps):
		return History(self.delay, self.time_type, views, steps)

	def created_at_once(self):
		"""Names of the views that are there before the first row."""
		later = {step[1] for step in self.steps if step[0] == 'create'}
		return [name for name in self.views if name not in later]

	def player(self, engine):
		return Inserts(engine, self)

	# ---- SQL ----

	def stream_sql(self):
		return (f'CREATE FOREIGN TABLE {STREAM}'
			f' (at {self.time_type}, k text, g int, n int, amount numeric)\n'
			"\tSERVER streamx OPTIONS (event_time 'at', retain 'on', max_future '9000000 hours',"
			f' watermark_delay {interval(Length(us=self.delay))})')

	def view_sql(self, name):
		query, is_from_start = self.views[name]
		options = ['streamx.continuous']
		if query.lateness:
			options.append(f'streamx.allowed_lateness = {interval(Length(us=query.lateness))}')
		if query.retention is not None:
			options.append(f'streamx.retention = {interval(Length(us=query.retention))}')
		if query.retains_inputs:
			options.append('streamx.retain_inputs')
		if not is_from_start:
			options.append("streamx.start = 'latest'")
		return f"CREATE VIEW {name} WITH ({', '.join(options)}) AS\n\t{query.select(STREAM)}"

	def insert_sql(self, rows):
		return f'INSERT INTO {STREAM} VALUES\n\t' + ',\n\t'.join(
			f'({timestamp(row.at, self.time_type)}, {literal(row.k)}, {literal(row.g)},'
			f' {literal(row.n)}, {literal(row.amount)})' for row in rows)

	def copy_text(self, rows):
		return ''.join('\t'.join([timestamp(row.at, self.time_type).strip("'")]
			+ [r'\N' if value is None else str(value) for value in row[1:]]) + '\n' for row in rows)

	def step_sql(self, step):
		kind = step[0]
		if kind == 'insert':
			return self.insert_sql(step[1])
		if kind == 'copy':
			return f'COPY {STREAM} FROM stdin'
		if kind == 'create':
			return self.view_sql(step[1])
		if kind == 'read':
			return f'SELECT FROM {next(iter(self.views))} LIMIT 0'
		return ' '.join([kind.upper(), *step[1:]])

	def script(self, last_step=None):
		"""All of it, for psql, up to a step."""
		views = {name: self.view_sql(name) for name in self.views}
		lines = [sql for name, sql in NEEDED.items() if any(name in view for view in views.values())]
		lines += [self.stream_sql()] + [views[name] for name in self.created_at_once()]
		text = "SET timezone = 'UTC';\n" + ''.join(line + ';\n' for line in lines)
		for step in self.steps[:None if last_step is None else last_step + 1]:
			text += self.step_sql(step) + ';\n'
			if step[0] == 'copy':
				text += self.copy_text(step[1]) + '\\.\n'
		return text


class Inserts:
	"""Plays a history in the engine's session, and looks after each transaction."""

	def __init__(self, engine, history):
		self.engine = engine
		self.history = history
		engine.execute(history.stream_sql())
		for name in history.created_at_once():
			engine.execute(history.view_sql(name))
		self.expectation = Expectation(history)

	def follow(self, number, step):
		if step[0] == 'copy':
			self.engine.cursor.copy_expert(self.history.step_sql(step),
				io.StringIO(self.history.copy_text(step[1])))
		else:
			self.engine.execute(self.history.step_sql(step))
		self.expectation.follow(step)
		if not self.expectation.is_open() or step[0] == 'read':
			self.engine.check(self.expectation.reader, number)

	def finish(self):
		self.engine.verify(self.expectation.reader)
		return self.expectation.reader


class Expectation:
	"""What the reference makes of a history, step by step."""

	def __init__(self, history):
		self.history = history
		self.reader = reference.Reader(history.delay)
		self.pending = None  # rows of the open transaction that no batch took
		self.savepoints = []
		for name in history.created_at_once():
			self.create(name)

	def create(self, name):
		self.reader.add(name, *self.history.views[name])

	def follow(self, step):
		kind = step[0]
		if kind == 'create':
			self.create(step[1])
		elif kind in ('insert', 'copy') and self.pending is None:
			self.reader.take_rows(step[1])
		elif kind in ('insert', 'copy'):
			self.pending.extend(step[1])
		elif kind == 'begin':
			self.pending = []
			self.savepoints = [(None, self.reader.copy(), [])]
		elif kind == 'savepoint':
			self.savepoints.append((step[1], self.reader.copy(), list(self.pending)))
		elif kind == 'release':
			self.unwind(step[1])
			self.savepoints.pop()
		elif kind == 'rollback to':
			self.unwind(step[1])
			_, reader, pending = self.savepoints[-1]
			self.reader, self.pending = reader.copy(), list(pending)
		elif kind == 'rollback':
			self.reader, self.pending = self.savepoints[0][1], None
		elif kind == 'read':
			self.merge()
		elif kind == 'commit':
			self.merge()
			self.pending = None

	def unwind(self, name):
		"""Forget the savepoints made after this one."""
		while self.savepoints[-1][0] != name:
			self.savepoints.pop()

	def merge(self):
		self.reader.take_rows(self.pending)
		self.pending = []

	def is_open(self):
		"""Whether a transaction is."""
		return self.pending is not None


def row_by_row(history):
	"""The same views and rows, each row a batch of its own."""
	rows = [row for _, _, row in expected_end(history).log]
	return history.with_steps([('insert', [row]) for row in rows])


def expected_end(history):
	expectation = Expectation(history)
	for step in history.steps:
		expectation.follow(step)
	return expectation.reader
