/*
 * full_disk.c
 *	  A disk without space, for a server that this library is preloaded into.
 *
 * As long as there is a file of the name in STREAMX_FULL_DISK, no file whose path
 * contains the first word of it grows: who tries meets ENOSPC.  What a file has
 * already can be written over, as on a disk that is full.  With "once" as second
 * word there is space again after the first try.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether there is no space for the file to grow up to this size. */
static bool
is_full(int fd, off64_t size)
{
	const char *order = getenv("STREAMX_FULL_DISK");
	FILE *file = order ? fopen(order, "r") : NULL;
	char part[64];
	char often[16];
	char name[64];
	char path[PATH_MAX];
	struct stat status;
	ssize_t length;
	int words;

	if (file == NULL)
		return false;
	words = fscanf(file, "%63s %15s", part, often);
	fclose(file);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	length = readlink(name, path, sizeof(path) - 1);
	if (words < 1 || length < 0)
		return false;
	path[length] = '\0';
	if (strstr(path, part) == NULL || fstat(fd, &status) != 0 || size <= status.st_size)
		return false;
	return words == 1 || unlink(order) == 0;
}

static off64_t
size_of(const struct iovec *parts, int count)
{
	off64_t size = 0;

	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

/* Files may be large: both names of a function do the same. */
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

ssize_t
pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
	if (is_full(fd, offset + (off64_t) count))
	{
		errno = ENOSPC;
		return -1;
	}
	return REAL(pwrite64)(fd, bytes, count, offset);
}

ssize_t
pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	return pwrite64(fd, bytes, count, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	if (is_full(fd, offset + size_of(parts, count)))
	{
		errno = ENOSPC;
		return -1;
	}
	return REAL(pwritev64)(fd, parts, count, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev64(fd, parts, count, offset);
}

/* These return the error. */
int
posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return is_full(fd, offset + length) ? ENOSPC : REAL(posix_fallocate64)(fd, offset, length);
}

int
posix_fallocate(int fd, off_t offset, off_t length)
{
	return posix_fallocate64(fd, offset, length);
}
