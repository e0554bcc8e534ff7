"""Make a history that shows a difference smaller."""

import time

from engine import Difference

SECONDS = 30


def shrink(engine, history, difference):
	"""Leave in difference.history (and step and detail) the smallest history found."""
	difference.history = history
	until = time.monotonic() + SECONDS
	was_smaller = True
	while was_smaller:
		was_smaller = False
		for smaller in candidates(difference.history, difference):
			if time.monotonic() > until:
				return
			found = difference_of(engine, smaller)
			if found and found.what == difference.what:
				difference.history, difference.step = smaller, found.step
				difference.detail = found.detail
				was_smaller = True
				break


def difference_of(engine, history):
	try:
		engine.play(history)
	except Difference as difference:
		return difference
	return None


def candidates(history, difference):
	if difference.view in history.views and len(history.views) > 1:
		yield history.with_views({difference.view: history.views[difference.view]})
	if difference.view is None:
		for name in history.views if len(history.views) > 1 else ():
			yield history.with_views({
				other: view for other, view in history.views.items() if other != name})
	steps = history.steps
	if difference.step is not None and difference.step < len(steps) - 1:
		yield history.with_steps(steps[:difference.step + 1])
	for size in (8, 4, 2, 1):
		for i in range(0, len(steps) - size + 1):
			if is_whole(steps[i:i + size]):
				yield history.with_steps(steps[:i] + steps[i + size:])
	for i, step in enumerate(steps):
		if step[0] in ('insert', 'copy') and len(step[1]) > 1:
			for j in range(len(step[1])):
				rows = step[1][:j] + step[1][j + 1:]
				yield history.with_steps(steps[:i] + [(step[0], rows)] + steps[i + 1:])
	for i, step in enumerate(steps):
		if step[0] == 'begin':
			yield history.with_steps(unwrapped(steps, i))


def is_whole(steps):
	"""Whether what is left is well-formed without these: transactions whole or not at all."""
	kinds = [step[0] for step in steps]
	if 'savepoint' in kinds or 'rollback to' in kinds or 'release' in kinds:
		return kinds[0] == 'begin' and kinds[-1] in ('commit', 'rollback')
	return kinds.count('begin') == kinds.count('commit') + kinds.count('rollback')


def unwrapped(steps, begin):
	"""The inserts of a transaction, each on its own."""
	end = next((i for i in range(begin, len(steps)) if steps[i][0] in ('commit', 'rollback')),
		len(steps))
	inside = [step for step in steps[begin:end] if step[0] in ('insert', 'copy')]
	return steps[:begin] + inside + steps[end + 1:]
