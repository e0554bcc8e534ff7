"""What continuous views must show, by definition and slowly.

Shares no code and no structure with the engine: it knows nothing of slices,
states or merging.  A view keeps the rows it accepted, each with the window that
accepted it, and computes its result from them anew whenever asked.  Windows
are found by listing those nearby and asking each whether it holds the row.

Times are whole microseconds since 1970-01-01 00:00 UTC; a watermark or window
of None is none at all.  The rules cited are those of docs/semantics.md.
"""

import zoneinfo
from collections import namedtuple
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
DAY = 24 * HOUR
MONTH = 2_629_746_000_000  # about

# A length of time: months and days of a calendar, and microseconds.
Length = namedtuple('Length', 'months days us', defaults=(0, 0, 0))

# A row of the stream; its event time is at.
Row = namedtuple('Row', 'at k g n amount')

# A row that a view takes of it: with the label of a table that it joins, and where it came from.
Taken = namedtuple('Taken', Row._fields + ('label', 'partition', 'offset'))

# What a view refused of a row.
Late = namedtuple('Late', 'partition offset at watermark refused_through counted')


def clock(us):
	"""What a clock in UTC shows, as a datetime."""
	return EPOCH + timedelta(microseconds=us)


def microseconds(at):
	return (at - EPOCH) // MICROSECOND


class Clocks:
	"""What the clocks of a zone show, and when."""

	def __init__(self, zone):
		self.zone = zoneinfo.ZoneInfo(zone)

	def show(self, us):
		"""At an instant, as a datetime."""
		at = clock(us).replace(tzinfo=timezone.utc)
		return at.astimezone(self.zone).replace(tzinfo=None)

	def instant(self, at):
		"""When they show that first, or jump over it."""
		earlier, later = (
			microseconds(at - at.replace(tzinfo=self.zone, fold=fold).utcoffset())
			for fold in (0, 1))
		if earlier <= later:
			return earlier
		# they jump: fold 1 counts back from after it, fold 0 on from before
		before, after = later, earlier
		while after - before > 1:
			middle = (before + after) // 2
			if self.show(middle) < at:
				before = middle
			else:
				after = middle
		return after


def shifted(at, length, times):
	"""A clock time some lengths later; months end no later than their last day."""
	months = at.year * 12 + at.month - 1 + length.months * times
	year, month = months // 12, months % 12 + 1
	first_of_next = datetime(year + month // 12, month % 12 + 1, 1)
	day = min(at.day, (first_of_next - timedelta(days=1)).day)
	return at.replace(year=year, month=month, day=day) + timedelta(days=length.days * times)


def about(length):
	return length.months * MONTH + length.days * DAY + length.us


class Windows:
	"""tumble, hop and cumulate (rules 1 to 4).  A window is (start, end).

	They are numbered, from the one at the origin on.  Lengths of days and months
	are added to what clocks show, others to instants.
	"""

	def __init__(self, kind, size, step=None, origin=None, zone=None):
		self.kind = kind
		self.size = size
		self.step = step or size
		self.apart = size if kind == 'cumulate' else self.step
		self.clocks = Clocks(zone or 'UTC')
		self.has_days = zone not in (None, 'UTC')  # of a length of their own
		if origin is not None:
			self.origin = origin
			self.origin_shown = self.clocks.show(origin)
		elif self.is_calendar(self.size) or self.is_calendar(self.step):
			self.origin_shown = EPOCH
			self.origin = self.clocks.instant(EPOCH)
		else:
			self.origin = 0
		self.known = {}

	def is_calendar(self, length):
		return length.months != 0 or (length.days != 0 and self.has_days)

	def holding(self, at):
		"""The windows that hold an instant, in the order of their ends."""
		if at not in self.known:
			found = {window for window in self.nearby(at) if window[0] <= at < window[1]}
			self.known[at] = sorted(found, key=lambda window: (window[1], window[0]))
		return self.known[at]

	def nearby(self, at):
		"""All windows that might hold an instant, and some more."""
		elapsed = at - self.origin
		first = (elapsed - about(self.size)) // about(self.apart) - 2
		last = elapsed // about(self.apart) + 2
		for number in range(first, last + 1):
			if self.kind == 'cumulate':
				yield from self.growing(number)
			elif self.kind == 'hop':
				yield (self.start(number), self.hop_end(number))
			else:
				yield (self.start(number), self.start(number + 1))

	def start(self, number):
		if self.is_calendar(self.apart):
			return self.clocks.instant(self.shown_at_start(number))
		return self.origin + about(self.apart) * number

	def shown_at_start(self, number):
		if self.is_calendar(self.apart):
			return shifted(self.origin_shown, self.apart, number)
		return self.clocks.show(self.start(number))

	def hop_end(self, number):
		if not self.is_calendar(self.size):
			return self.start(number) + about(self.size)
		if self.is_calendar(self.step):
			return self.calendar_end(number)
		# where clocks are set back, no window ends before one that started earlier
		first = number - 3 * HOUR // about(self.step) - 1
		return max(self.calendar_end(n) for n in range(first, number + 1))

	def calendar_end(self, number):
		return self.clocks.instant(shifted(self.shown_at_start(number), self.size, 1))

	def growing(self, number):
		"""Windows of one start, each a step longer, up to the whole size."""
		start, whole = self.start(number), self.start(number + 1)
		times = 0
		end = start
		while end < whole:
			if end > start:
				yield (start, end)
			times += 1
			if self.is_calendar(self.step):
				end = self.clocks.instant(shifted(self.shown_at_start(number), self.step, times))
			else:
				end = start + about(self.step) * times
		yield (start, whole)


def sessions(times, gap):
	"""Gaps and islands: [first, last] of each session of these event times (rule 5)."""
	found = []
	for at in sorted(times):
		if found and at <= found[-1][1] + gap:
			found[-1][1] = at
		else:
			found.append([at, at])
	return found


class View:
	"""One view's answer.  Its query says what rows it takes of each of the stream's, their
	keys and windows, and what it makes of the rows of a group: see query.py."""

	def __init__(self, query):
		self.query = query
		self.accepted = []  # (Taken, window)
		self.late = []
		self.removed_through = None
		self.shown = None

	def copy(self):
		other = View(self.query)
		other.accepted = list(self.accepted)
		other.late = list(self.late)
		other.removed_through = self.removed_through
		other.shown = self.shown
		return other

	def take(self, batch, watermark):
		"""A micro-batch: (partition, offset, row) of each row, and the watermark before it."""
		taken = [rows for rows in (self.query.rows(*entry) for entry in batch) if rows]
		if taken:
			self.shown = None
		if self.query.kind == 'session':
			self.take_sessions(taken, watermark)
		else:
			for rows in taken:
				self.take_rows(rows, watermark)

	def take_rows(self, rows, watermark):
		"""What is made of one row of the stream: each window judges for itself (rule 12)."""
		if self.query.kind == 'global':
			self.accept(rows)
			return
		refused = []
		counted = False
		for window in self.query.windows.holding(rows[0].at):
			if watermark is not None and window[1] + self.query.lateness <= watermark:
				refused.append(window[1])
			else:
				self.accept(rows, window)
				counted = True
		if refused:
			self.refuse(rows, watermark, max(refused), counted)

	def accept(self, rows, window=None):
		self.accepted.extend((row, window) for row in rows)

	def refuse(self, rows, watermark, refused_through, counted):
		row = rows[0]
		self.late.append(Late(row.partition, row.offset, row.at, watermark, refused_through, counted))

	def take_sessions(self, taken, watermark):
		"""Rows on time first, then those too old by themselves, one by one (rule 14)."""
		gap, lateness = self.query.gap, self.query.lateness
		too_old = []
		for rows in taken:
			if watermark is not None and rows[0].at + gap + lateness <= watermark:
				too_old.append(rows)
			else:
				self.accept(rows)
		for rows in sorted(too_old, key=lambda rows: (rows[0].at, rows[0].partition, rows[0].offset)):
			if any(self.session_refuses(row, watermark) for row in rows):
				self.refuse(rows, watermark, rows[0].at + gap, False)
			else:
				self.accept(rows)

	def session_refuses(self, row, watermark):
		gap, lateness = self.query.gap, self.query.lateness
		if self.query.retention is not None and row.at + self.query.retention <= watermark:
			return True  # it cannot be joined to a session that may be gone
		key = self.query.key(row)
		times = [other.at for other, _ in self.accepted if self.query.key(other) == key]
		touched = [(first, last) for first, last in sessions(times, gap)
			if first - gap <= row.at <= last + gap]
		is_sealed = any(last + gap + gap + lateness <= watermark for _, last in touched)
		end = max([row.at] + [last for _, last in touched]) + gap
		return is_sealed or end + lateness <= watermark

	def remove(self, watermark):
		"""After a batch, windows that end by then go (rule 26)."""
		if self.query.retention is not None and watermark is not None:
			self.removed_through = watermark - self.query.retention
			self.shown = None

	def is_removed(self, window):
		return self.removed_through is not None and window[1] <= self.removed_through

	def result(self):
		"""The rows that SELECT * must show, in any order."""
		if self.shown is None:
			groups = self.session_groups() if self.query.kind == 'session' else self.groups()
			self.shown = [self.query.row(key, window, rows) for (key, window), rows in groups.items()
				if self.query.keeps(rows) and not self.is_removed(window)]
		return self.shown

	def groups(self):
		groups = {}
		if self.query.is_single:
			groups[(), None] = []
		for row, window in self.accepted:
			groups.setdefault((self.query.key(row), window), []).append(row)
		return groups

	def session_groups(self):
		by_key = {}
		for row, _ in self.accepted:
			by_key.setdefault(self.query.key(row), []).append(row)
		return {
			(key, (first, last + self.query.gap)): [row for row in rows if first <= row.at <= last]
			for key, rows in by_key.items()
			for first, last in sessions([row.at for row in rows], self.query.gap)
		}


class Reader:
	"""Views at one position, with one watermark (rules 9 to 11)."""

	def __init__(self, delay):
		self.delay = delay
		self.latest = {}
		self.watermark = None
		self.log = []
		self.views = {}

	def copy(self):
		other = Reader(self.delay)
		other.latest = dict(self.latest)
		other.watermark = self.watermark
		other.log = list(self.log)
		other.views = {name: view.copy() for name, view in self.views.items()}
		return other

	def add(self, name, query, is_from_start=True):
		"""A new view takes all that is kept as one batch, and then joins the others."""
		view = self.views[name] = View(query)
		if is_from_start:
			view.take(self.log, None)
			view.remove(self.watermark)

	def take(self, batch, unread=()):
		"""A micro-batch of (partition, offset, row); unread: partitions not at their end."""
		for view in self.views.values():
			view.take(batch, self.watermark)
		self.log.extend(batch)
		for partition, _, row in batch:
			self.latest[partition] = max(row.at, self.latest.get(partition, row.at))
		if self.latest and all(partition in self.latest for partition in unread):
			watermark = min(self.latest.values()) - self.delay
			if self.watermark is None or watermark > self.watermark:
				self.watermark = watermark
		for view in self.views.values():
			view.remove(self.watermark)

	def take_rows(self, rows):
		"""A micro-batch of a stream without partitions, whose offsets count its rows."""
		if rows:
			self.take([(None, len(self.log) + i, row) for i, row in enumerate(rows)])
