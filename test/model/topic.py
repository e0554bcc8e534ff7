"""Histories of a Kafka topic: messages in several partitions, batches cut by streamx.step.

	('produce', [(PARTITION, ROW or text that is no row)])
	('step', MAX_ROWS)          a micro-batch for each reader
	('create', NAME)            a view with a reader of its own, until it has caught up
	('restart',)                of the server, as after a crash

The server's own positions say which rows a batch took; what follows from them
is the reference's.
"""

import json
import os
import subprocess

import reference
from engine import Difference, parsed
from history import History
from query import STREAM, interval
from reference import Length

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kafka')


def payload(row):
	if isinstance(row, str):
		return row
	at = reference.clock(row.at).isoformat()
	amount = 'null' if row.amount is None else str(row.amount)
	fields = json.dumps({'at': at + 'Z', 'k': row.k, 'g': row.g, 'n': row.n})
	return f'{fields[:-1]}, "amount": {amount}}}'


class Topic(History):
	def __init__(self, partitions, *history):
		super().__init__(*history)
		self.partitions = partitions
		self.name = 'events'  # of the topic

	def remade(self, views, steps):
		return Topic(self.partitions, self.delay, self.time_type, views, steps)

	def player(self, engine):
		return Steps(engine, self)

	def stream_sql(self):
		return (f'CREATE FOREIGN TABLE {STREAM}'
			f' (at {self.time_type}, k text, g int, n int, amount numeric)\n'
			f"\tSERVER kafka OPTIONS (topic '{self.name}', event_time 'at', max_future '9000000 hours',"
			f' watermark_delay {interval(Length(us=self.delay))});\n'
			f"SELECT streamx.pause('{STREAM}')")

	def step_sql(self, step):
		kind = step[0]
		if kind == 'produce':
			return '-- produce\n--\t' + '\n--\t'.join(
				f'{partition}: {payload(row)}' for partition, row in step[1]) + '\n'
		if kind == 'step':
			return f"SELECT streamx.step('{STREAM}', {step[1]})"
		if kind == 'restart':
			return '-- pg_ctl restart -m immediate\n'
		return super().step_sql(step)


class Broker:
	"""librdkafka's mock cluster, and what fills it."""

	def __init__(self):
		self.topics = 0
		self.process = subprocess.Popen([f'{PROGRAMS}/broker'], stdin=subprocess.PIPE,
			stdout=subprocess.PIPE, text=True)
		self.address = self.process.stdout.readline().strip()

	def create(self, partitions):
		"""A new topic; returns its name."""
		self.topics += 1
		topic = f't{self.topics}'
		self.process.stdin.write(f'topic {topic} {partitions}\n')
		self.process.stdin.flush()
		answer = self.process.stdout.readline()
		if answer != 'ok\n':
			raise SystemExit(f'Bail out! broker: {answer}')
		return topic

	def produce(self, topic, messages):
		lines = ''.join(f'{partition}\t\t\\N\t{payload(row)}\n' for partition, row in messages)
		subprocess.run([f'{PROGRAMS}/produce', '--bootstrap', self.address, '--topic', topic],
			input=lines, text=True, check=True)

	def close(self):
		self.process.stdin.close()
		self.process.wait()


def broker_of(engine):
	"""The engine's, started when it is first needed."""
	if engine.broker is None:
		engine.broker = Broker()
		engine.execute('CREATE SERVER kafka FOREIGN DATA WRAPPER streamx'
			f" OPTIONS (bootstrap_servers '{engine.broker.address}', fetch_wait_max_ms '10')")
	return engine.broker


class Consumer:
	"""The reference's reader, and where it stands."""

	def __init__(self, delay, partitions):
		self.reader = reference.Reader(delay)
		self.next = [0] * partitions


class Steps:
	"""Plays a topic's history, and looks after each step."""

	def __init__(self, engine, history):
		self.engine = engine
		self.broker = broker_of(engine)
		self.history = history
		history.name = self.broker.create(history.partitions)
		self.log = [[] for _ in range(history.partitions)]
		self.consumers = {}  # by the server's number of its reader
		engine.execute(history.stream_sql())  # paused at once, so that no worker begins
		for name in history.created_at_once():
			self.create(name)

	def create(self, name):
		self.engine.execute(self.history.view_sql(name))
		number = self.positions()[name][0]
		if number not in self.consumers:
			self.consumers[number] = Consumer(self.history.delay, self.history.partitions)
		self.consumers[number].reader.add(name, self.history.views[name][0], False)

	def follow(self, number, step):
		kind = step[0]
		if kind == 'produce':
			self.broker.produce(self.history.name, step[1])
			for partition, row in step[1]:
				self.log[partition].append(row)
		elif kind == 'create':
			self.create(step[1])
		elif kind == 'restart':
			self.restart()
		else:
			self.engine.execute(self.history.step_sql(step))
			self.catch_up()
		for consumer in self.consumers.values():
			self.engine.check(consumer.reader, number)

	def finish(self):
		for consumer in self.consumers.values():
			self.engine.verify(consumer.reader)

	def positions(self):
		"""By view: its reader, the reader's watermark and next offset of each partition."""
		found = {}
		for name, number, partition, offset, watermark in self.engine.rows(f"""
				SELECT v.view::text, v.reader::text, p.partition, p.next_offset,
				       max(p.watermark) OVER (PARTITION BY v.view)
				FROM streamx.view_streams v LEFT JOIN streamx.progress p USING (reader)
				WHERE v.stream = '{STREAM}'::regclass"""):
			_, _, offsets = found.setdefault(name, (number, parsed(['time'], [watermark])[0], {}))
			if partition is not None:
				offsets[int(partition)] = int(offset)
		return found

	def catch_up(self):
		"""Give each reader what the server's gave its own, and join those that were joined."""
		positions = self.positions()
		for number, consumer in list(self.consumers.items()):
			joined, watermark, offsets = positions[next(iter(consumer.reader.views))]
			self.take(consumer, watermark, offsets)
			if joined != number:
				self.join(self.consumers[joined], self.consumers.pop(number))

	def take(self, consumer, watermark, offsets):
		batch = []
		for partition, end in offsets.items():
			rows = self.log[partition][consumer.next[partition]:end]
			batch += [(partition, consumer.next[partition] + i, row)
				for i, row in enumerate(rows) if not isinstance(row, str)]
			consumer.next[partition] = end
		reader = consumer.reader
		has_rows = set(reader.latest) | {partition for partition, _, _ in batch}
		unread = {partition for partition, rows in enumerate(self.log)
			if consumer.next[partition] < len(rows)}
		if watermark == reader.watermark:
			# a batch that was full may not have seen the ends of partitions without rows
			unread |= set(range(len(self.log))) - has_rows
		reader.take(batch, unread)

	def join(self, consumer, late):
		"""The greater watermark counts (rule 24)."""
		if consumer.next != late.next:
			raise Difference('position of a joined reader', None, f'{late.next} {consumer.next}')
		consumer.reader.views.update(late.reader.views)
		consumer.reader.watermark = max(filter(lambda watermark: watermark is not None,
			(consumer.reader.watermark, late.reader.watermark)), default=None)

	def restart(self):
		directory = self.engine.rows('SHOW data_directory')[0][0]
		subprocess.run(['pg_ctl', '-D', directory, '-l', os.path.join(directory, '..', 'server.log'),
			'-s', '-w', '-m', 'immediate', 'restart'], check=True)
		self.engine.reconnect()
