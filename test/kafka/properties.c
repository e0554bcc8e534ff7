/*
 * properties.c
 *	  The names of the configuration properties of the librdkafka that is linked,
 *	  aliases included, one a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

int
main(void)
{
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);

	rd_kafka_conf_properties_show(file);
	fclose(file);
	/* a table: name, padded | who it is for | ... */
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
	{
		int name = (int) strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789._");

		if (name > 0 && line[name + strspn(line + name, " ")] == '|')
			printf("%.*s\n", name, line);
	}
	free(text);
	return 0;
}
