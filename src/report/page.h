/* The files of src/report/page/, which the build puts into the program (cmake/TrainerEmbed.cmake). */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

extern const char page_html[], page_css[], chart_js[], page_js[];

#endif
