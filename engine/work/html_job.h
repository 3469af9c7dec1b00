/* html_job.h: the text of a page in HTML, read on the pool. */
#ifndef MP_HTML_JOB_H
#define MP_HTML_JOB_H

#include "job.h"

/* Returns a job, owned, that gives the text of a page, UTF-8 of which it takes
 * [page] and leaves it empty; `head` has the title in its first line and the
 * target of a link in each other. It fails as `unsupported` where there is no
 * libxml2, as `too_large` as html.h says, and as `memory`. NULL without memory;
 * then [page] stays. */
mp_Job *mp_html_job(mp_Buf *page);

#endif
