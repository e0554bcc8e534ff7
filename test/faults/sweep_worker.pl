# At every step of a worker's batch: the worker killed, the server killed, an error; nothing is lost, nothing counts twice

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Test::More;
use WorkerSweep;

WorkerSweep::start(1);
WorkerSweep::batches(
	(map { [ $_, 1 ] } qw(worker-start after-poll after-decode after-merge before-progress after-progress before-commit after-commit)),
	(map { [ 'in-merge', $_ ] } 1, 15, 60), (map { [ 'in-sessions', $_ ] } 1, 20), (map { [ 'in-inputs', $_ ] } 1, 40, 150),
	(map { [ 'in-retention', $_ ] } 1, 4), (map { [ 'in-fold', $_ ] } 1, 4), (map { [ 'in-bisection', $_ ] } 1, 5));
WorkerSweep::launcher();
WorkerSweep::meetings(qw(in-discovery in-meeting after-meeting));
WorkerSweep::rebuilding();
WorkerSweep::leaving();
WorkerSweep::gaps();
WorkerSweep::stop('worker');
done_testing();
