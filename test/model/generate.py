"""Random histories: a stream, views of many kinds over it, and sessions that fill it.

Event times are drawn to hit boundaries: on the edge of a window and a
microsecond before, one gap after another row and a microsecond more, and such
that the watermark comes to lie exactly where a window is sealed, or not yet.
"""

from decimal import Decimal

import reference
from history import History
from aggregates import COUNTS, INPUTS, LABELS, ORDERED, RANK_OF_KEY, STATES, filtered
from query import CONDITIONS, GROUP_CONDITIONS, INPUT_CONDITIONS, JOINS, KEYS, LABEL, Query
from reference import DAY, HOUR, Length, Row
from topic import Topic

KINDS = ['global', 'tumble', 'hop', 'cumulate', 'session', 'calendar']

MINUTE = 60_000_000

# What the sizes of a history are made of
UNITS = [1, 1000, 1_000_000, 10_000_000, MINUTE, 7 * MINUTE, HOUR, 6 * HOUR]


def moment(text):
	return reference.microseconds(reference.datetime.fromisoformat(text))


STARTS = [moment(text) for text in (
	'2024-05-01 10:00:00', '1969-12-31 23:59:58', '1970-01-01', '2000-01-01', '1955-05-05 05:05:05',
	'2024-02-28 20:00')]

# Where calendars differ: clocks moved by an hour or half of one, at midnight too, and a day left out
ZONES = [
	('Europe/Berlin', '2024-03-29'), ('Europe/Berlin', '2024-10-25'),
	('America/New_York', '2024-03-08'), ('America/New_York', '2023-11-03'),
	('Australia/Lord_Howe', '2024-04-05'), ('America/Havana', '2024-03-08'),
	('America/Havana', '2023-11-03'), ('Africa/Cairo', '2024-04-24'), ('Africa/Cairo', '2023-10-25'),
	('Pacific/Apia', '2011-12-28'), ('Asia/Kathmandu', '2024-02-27'), ('America/Sao_Paulo', '2018-11-02'), ('UTC', '2024-02-27'),
	('UTC', '1970-01-01'),
]


def days(count):
	return Length(days=count)


def hours(count):
	return Length(us=count * HOUR)


def months(count):
	return Length(months=count)


CALENDAR_SIZES = {
	'tumble': [(days(1), None), (days(2), None), (days(7), None), (months(1), None), (months(3), None),
		(months(12), None)],
	'hop': [(months(1), days(30)), (days(30), months(1)), (days(1), hours(24)), (days(1), hours(6)), (days(2), hours(5)), (hours(30), days(1)), (days(20), months(1)),
		(months(1), days(10)), (days(2), days(1)), (days(7), days(1)), (days(3), days(2)), (days(1), days(3)),
		(months(3), months(1)), (months(1), months(1)), (months(1), months(2)), (months(5), months(2))],
	'cumulate': [(days(1), hours(6)), (days(1), hours(4)), (months(1), days(7)), (days(7), days(1)), (days(4), days(2)), (months(3), months(1)), (months(12), months(3))],
}


class Generator:
	def __init__(self, random, kinds, can_retain_inputs):
		self.random = random
		self.kinds = kinds
		self.can_retain_inputs = can_retain_inputs
		self.time_type = 'timestamptz'
		self.zone = None
		if 'calendar' in kinds and (len(kinds) < 3 or random.random() < 0.25):
			self.be_calendar()
		elif random.random() < 0.1:
			self.be_dates()
		else:
			self.unit = random.choice(UNITS)
			self.start = random.choice(STARTS)
			if random.random() < 0.15:
				self.time_type = 'timestamp'
		self.delay = self.pick([(5, 0), (1, 1), (2, self.unit // 2), (2, self.unit), (1, 3 * self.unit)])
		self.latest = self.start
		self.times = [self.start]
		self.made = []

	def be_calendar(self):
		self.unit = self.random.choice([6 * HOUR, DAY, 12 * DAY])
		self.zone, date = self.random.choice(ZONES)
		self.start = moment(date)

	def be_dates(self):
		self.unit = DAY
		self.start = DAY * (self.random.choice(STARTS) // DAY)
		self.time_type = 'date'

	def pick(self, choices):
		"""One of (weight, value) pairs."""
		weights, values = zip(*choices)
		return self.random.choices(values, weights)[0]

	def chance(self, probability):
		return self.random.random() < probability

	# ---- views ----

	def history(self, views, batches):
		self.views = {f'v{i}': (self.query(), True) for i in range(1, views + 1)}
		steps = []
		later = [name for name in self.views if name != 'v1' and self.chance(0.08)]
		for name in later:
			self.views[name] = (self.views[name][0], self.chance(0.6))
		for _ in range(batches):
			if later and self.chance(0.2):
				steps.append(('create', later.pop()))
			steps.extend(self.transaction())
		steps.extend(('create', name) for name in later)
		return History(self.delay, self.time_type, self.views, steps)

	def topic(self, views, batches):
		"""The like over messages of a topic."""
		self.time_type = 'timestamptz'
		partitions = self.random.randint(1, 3)
		self.views = {f'v{i}': (self.query(), True) for i in range(1, views + 1)}
		later = [name for name in self.views if name != 'v1' and self.chance(0.1)]
		steps = []
		restart = self.random.randrange(batches) if self.chance(0.2) else None
		for batch in range(batches):
			steps.append(('produce', self.messages(partitions)))
			if later and self.chance(0.3):
				steps.append(('create', later.pop()))
			steps.append(('step', self.pick([(3, self.random.randint(1, 6)), (2, 1000)])))
			if batch == restart:
				steps.append(('restart',))
		steps += [('create', name) for name in later] + [('step', 7), ('step', 1000), ('step', 1000)]
		return Topic(partitions, self.delay, self.time_type, self.views, steps)

	def messages(self, partitions):
		return [(self.random.randrange(partitions),
			self.pick([(20, row), (1, self.random.choice(['no JSON', '{"at": null}', '{}']))]))
			for row in self.rows()]

	def query(self):
		kind = self.random.choice(self.kinds)
		window = {}
		if kind == 'calendar':
			kind, window = self.calendar_window()
		elif kind == 'session':
			window = {'gap': self.pick([(3, self.unit), (1, 2 * self.unit), (1, self.odd_length())])}
		elif kind != 'global':
			window = self.window(kind)
		length = window.get('gap') or reference.about(window.get('size', Length(us=self.unit)))
		lateness = self.lateness(length) if window else 0
		join = self.random.choice(JOINS) if self.chance(0.15) else None
		keys = self.keys(join)
		return Query(kind, self.aggregates(keys, join), keys, join=join,
			condition=self.random.choice(CONDITIONS) if self.chance(0.3) else None,
			group_condition=self.group_condition(), retains_inputs=self.chance(0.4) and self.can_retain_inputs,
			lateness=lateness, is_window_first=self.chance(0.8), time_type=self.time_type,
			retention=self.retention(lateness, window) if window and self.chance(0.15) else None, **window)

	def keys(self, join):
		count = self.pick([(2, 0), (4, 1), (2, 2)])
		if join and count and self.chance(0.4):
			return [LABEL] + KEYS[:count - 1]
		return self.random.sample(KEYS[:2] if count == 2 else KEYS, count)

	def group_condition(self):
		return self.pick([(80, None), (10, self.random.choice(GROUP_CONDITIONS)),
			(7, self.random.choice(INPUT_CONDITIONS))])

	def aggregates(self, keys, join):
		"""States alone, as before there was anything else, or all kinds."""
		if self.chance(0.35):
			return self.random.sample(STATES, self.random.randint(1, 4))
		kinds = [(2, STATES), (3, ORDERED), (2, COUNTS), (6, INPUTS)] + [(4, LABELS)] * (join is not None)
		found = []
		for _ in range(self.random.randint(1, 3)):
			found += self.variants(self.random.choice(self.pick(kinds)))
		if any(key.sql == 'g' for key in keys) and self.chance(0.3):
			found.append(RANK_OF_KEY)
		return found

	def variants(self, aggregate):
		"""It, perhaps with a FILTER, or several that share what they are computed from."""
		if not aggregate.is_call or self.chance(0.5):
			return [aggregate]
		some = [filtered(aggregate, condition) for condition in self.random.sample(CONDITIONS, 2)]
		return self.pick([(2, some[:1]), (1, [aggregate, some[0]]), (1, some), (1, [some[0], aggregate, some[1]])])

	def lateness(self, length):
		return self.pick([(6, 0), (1, 1), (2, self.unit), (1, length), (1, length + 1),
			(1, max(length - 1, 0)), (1, 5 * self.unit // 2), (1, 8 * self.unit)])

	def retention(self, lateness, window):
		"""No less than it takes until windows are sealed."""
		return lateness + window.get('gap', 0) + self.pick([(3, 0), (1, 1), (2, self.unit), (2, 4 * self.unit)])

	def odd_length(self):
		return max(self.unit * self.random.randint(1, 7) // 2 + self.random.choice([-1, 0, 1]), 1)

	def length(self, most):
		"""A few units, now and then not a whole number of them."""
		if self.chance(0.2):
			return self.odd_length()
		return self.unit * self.random.randint(1, most)

	def window(self, kind):
		step = None
		if kind == 'tumble':
			size = self.length(5)
		elif kind == 'cumulate':
			step = self.length(3)
			size = step * self.random.randint(1, 5)
		else:
			step = self.length(3)
			size = self.pick([(3, step * self.random.randint(1, 5)), (3, self.hop_size(step)),
				(1, max(step - self.random.choice([1, self.unit // 2, self.unit]), 1))])
		window = {'size': Length(us=size)}
		if step:
			window['step'] = Length(us=step)
		if self.chance(0.25):
			window['origin'] = self.origin(size)
		return window

	def hop_size(self, step):
		"""Not a multiple of the slide, most probably."""
		return step * self.random.randint(1, 4) + self.random.randint(1, step)

	def origin(self, size):
		near = self.start + self.random.choice([0, 1, -1, size // 2, size - 1, self.unit])
		return near + size * self.random.choice([0, 1000, -3000])

	def calendar_window(self):
		zone, _ = self.random.choice(ZONES)
		if self.zone is not None and self.chance(0.8):
			zone = self.zone
		kind = self.random.choice(list(CALENDAR_SIZES))
		if self.time_type != 'timestamptz':
			zone = None
		sizes = CALENDAR_SIZES[kind]
		if self.unit < DAY:
			sizes = [pair for pair in sizes if pair[0].months < 12]
		size, step = self.random.choice(sizes)
		window = {'size': size, 'zone': zone}
		if step:
			window['step'] = step
		if self.chance(0.25):
			window['origin'] = moment(self.random.choice(['2019-07-15', '2024-01-10 06:00', '2100-02-05 23:59']))
		return kind, window

	# ---- rows ----

	def transaction(self):
		"""The steps of one or more."""
		def insert():
			return (self.pick([(6, 'insert'), (1, 'copy')]), self.rows())
		return self.pick([
			(10, lambda: [insert()]),
			(2, lambda: [('begin',), insert(), insert(), ('commit',)]),
			(1, lambda: [('begin',), insert(), ('savepoint', 's'), insert(), ('rollback to', 's'),
				insert(), ('commit',)]),
			(1, lambda: [('begin',), insert(), ('read',), insert(), ('commit',)]),
			(1, lambda: [('begin',), insert(), ('savepoint', 's'), insert(), ('read',), ('savepoint', 't'),
				insert(), ('read',), ('rollback to', 't'), insert(), ('release', 's'), insert(), ('commit',)]),
			(1, lambda: [('begin',), insert(), ('savepoint', 's'), insert(), ('read',),
				('rollback to', 's'), insert(), ('read',), ('commit',)]),
			(1, lambda: [('begin',), insert(), ('read',), ('rollback',)]),
		])()

	def rows(self):
		return [self.row() for _ in range(self.pick(
			[(6, 1), (6, 2), (4, self.random.randint(3, 6)), (1, self.random.randint(7, 25))]))]

	def row(self):
		random = self.random
		if self.made and self.chance(0.1):
			return random.choice(self.made[-6:])  # once more
		at = self.time()
		if self.time_type == 'date':
			at = DAY * (at // DAY)
		self.times.append(at)
		self.latest = max(self.latest, at)
		row = Row(at, self.pick([(1, None), (4, 'a'), (2, 'b'), (1, 'ü')]),
			self.pick([(1, None), (3, 1), (2, 2)]),
			self.pick([(1, None), (4, random.randint(0, 3)), (3, random.randint(-5, 20))]),
			self.pick([(1, None), (4, Decimal(random.choice(['1', '1.0', '1.00', '2', '-0.5', '0']))),
				(3, Decimal(random.randint(-9999, 99999)).scaleb(-random.randint(0, 3)))]))
		self.made.append(row)
		return row

	def time(self):
		return self.pick([(5, self.next_time), (1, self.recent), (2, self.edge), (2, self.near_row), (2, self.sealing),
			(2, self.old), (1, self.near_watermark)])()

	def next_time(self):
		"""About now, more or less in order."""
		ahead = self.pick([(8, self.random.randint(-self.unit, 2 * self.unit)),
			(1, self.random.randint(-6 * self.unit, 0)), (1, self.random.randint(0, 8 * self.unit))])
		return self.latest + ahead

	def old(self):
		return self.latest - self.random.randint(0, 12 * self.unit)

	def near_watermark(self):
		return self.latest - self.delay + self.blur()

	def blur(self):
		return self.random.choice([0, 0, -1, 1])

	def some_query(self):
		query, _ = self.views[self.random.choice(list(self.views))]
		return query

	def recent(self):
		return self.random.choice(self.times[-6:])

	def edge(self):
		"""Where a window starts or ends, or nearly so."""
		query = self.some_query()
		around = self.recent() + self.random.randint(-2 * self.unit, 2 * self.unit)
		if query.windows is None:
			return around
		edges = [edge for window in query.windows.holding(around) for edge in window]
		return self.random.choice(edges or [around]) + self.blur()

	def near_row(self):
		"""One gap from a row, or nearly so."""
		query = self.some_query()
		return self.recent() + self.random.choice([-1, 1]) * (query.gap or self.unit) + self.blur()

	def sealing(self):
		"""Moves the watermark to where a window is sealed, or nearly so."""
		query = self.some_query()
		if query.kind == 'session':
			end = self.recent() + query.gap * self.random.choice([1, 2])
		else:
			end = self.edge()
		return end + query.lateness + self.delay - self.random.choice([0, 0, 1])
