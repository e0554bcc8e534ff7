# The same where several workers share a stream: they aggregate before they have its lock, and may be killed between

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Test::More;
use WorkerSweep;

WorkerSweep::start(3);
WorkerSweep::batches((map { [ $_, 1 ] } qw(after-poll after-prepare after-decode after-merge before-progress after-progress before-commit after-commit)),
	[ 'in-merge', 20 ], [ 'in-sessions', 5 ], [ 'in-inputs', 40 ], [ 'in-retention', 2 ], [ 'in-fold', 2 ], [ 'in-bisection', 2 ]);
WorkerSweep::meetings(qw(in-meeting after-meeting));
WorkerSweep::stop('workers');
done_testing();
