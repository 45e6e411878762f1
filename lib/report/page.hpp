// Pieces of a report in HTML: one file with its plots as SVG that needs no network and no script.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgrec {

struct PlotPoint {
  double at_s = 0;
  double value = 0;  // NaN: not known here, and the line is interrupted
};

struct PlotLine {
  std::string name;
  char style = 'a';               // colour: 'a' blue, 'b' orange, 'c' green, 'd' violet
  std::vector<PlotPoint> points;  // by time
};

struct Plot {
  std::string title;  // with the unit
  std::vector<PlotLine> lines;
};

enum class MarkKind { more, fewer };

/// Something that happened: a short line below the plots, which tells its text to a pointer that rests on it.
struct PlotMark {
  double at_s = 0;
  MarkKind kind = MarkKind::more;
  std::string text;
};

struct PlotsOptions {
  double duration_s = 1;       // of the time axis, from 0
  std::string description;     // what a screen reader says of the picture
  std::string marks_title;     // what the marks are
  bool marks_through = false;  // each mark also as a thin line through all plots
};

/// The plots below each other over one time axis, as one <svg>.
std::string draw_plots(std::span<const Plot> plots, std::span<const PlotMark> marks, const PlotsOptions& options);

/// A <table> whose first row is its head, within a region that scrolls and is called `name`. The first `text_columns`
/// columns are text, the others numbers, aligned to the right.
std::string html_table(const std::vector<std::vector<std::string>>& rows, std::string_view name, int text_columns);

/// From the doctype to the page's heading: light or dark as the reader's system is.
std::string page_begin(std::string_view title);
std::string page_end();

/// Text for between tags and in attributes.
std::string html_escaped(std::string_view text);

/// "0:01:05", from a day on "1d 02:03".
std::string clock_text(double seconds);

/// With so many digits after the point.
std::string decimal(double value, int digits = 1);

std::string join(std::initializer_list<std::string_view> pieces);

}  // namespace imgrec
