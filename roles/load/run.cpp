#include "roles/load/run.hpp"

#include <algorithm>
#include <queue>

#include "lib/base/text.hpp"
#include "roles/load/answers.hpp"
#include "roles/load/arrivals.hpp"
#include "roles/load/names.hpp"
#include "roles/load/requests.hpp"

namespace imgrec::load {
namespace {

constexpr Millis kProgressEvery{100};
constexpr std::uint64_t kAnswerBytesMax = 64 * kMiB;
// A tag is the request's place among those under way, and the place of an image in it: 0 for the request itself.
constexpr std::uint64_t kImageBits = 16;

// A request that has not ended.
struct UnderWay {
  LoadRecord record;
  std::size_t pending = 0;               // images without an answer
  std::vector<std::string> locations{};  // of async jobs, by image
};

class LoadRun {
 public:
  LoadRun(const LoadPlan& plan, std::span<const LoadImage> images, const LoadHooks& hooks, Clock& clock)
      : plan_(plan), images_(images), hooks_(hooks), clock_(clock), requests_(plan, images), answers_(plan.dialect) {
    if (plan.open) arrivals_ = make_arrivals(*plan.open, to_s(plan.warmup + plan.duration), plan.seed);
  }
  Result<LoadResult> run(const std::stop_token& stop);

 private:
  struct Poll {
    double at_s;
    std::uint64_t tag;
    bool operator>(const Poll& other) const { return at_s > other.at_s; }
  };

  double since_begin(MonoTime time) const { return std::chrono::duration<double>(time - begin_).count(); }
  MonoTime instant(double at_s) const {
    return begin_ + std::chrono::duration_cast<MonoTime::duration>(std::chrono::duration<double>(at_s));
  }
  bool may_begin(double at_s) const;
  void begin(double intended_s);
  void begin_what_is_due(double now_s);
  double next_event_s() const;
  void on_end(const ExchangeEnd& end);
  void take_poll(std::size_t slot, std::size_t image, const ExchangeEnd& end);
  void image_ended(UnderWay& request, std::size_t image, ImageAnswer answer, const ExchangeEnd& end);
  void request_failed(UnderWay& request, const ExchangeEnd& end);
  void finish(std::size_t slot);
  void progress(double now_s);

  const LoadPlan& plan_;
  const std::span<const LoadImage> images_;
  const LoadHooks& hooks_;
  Clock& clock_;
  const RequestMaker requests_;
  AnswerReader answers_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Arrivals> arrivals_;
  std::optional<double> arrival_s_;  // the next one
  MonoTime begin_{};
  MonoTime progress_at_{};
  std::vector<UnderWay> slots_;
  std::vector<std::size_t> free_slots_;
  std::priority_queue<Poll, std::vector<Poll>, std::greater<>> polls_;
  std::vector<ImageAnswer> read_;
  std::size_t next_image_ = 0;
  std::uint64_t begun_ = 0;  // after the warm-up
  bool is_over_ = false;     // no request begins any more
  Names error_names_, label_names_;
  LoadResult result_;
  LoadProgress shown_;
};

bool LoadRun::may_begin(double at_s) const {
  const double warmup_s = to_s(plan_.warmup);
  if (plan_.duration > Millis(0) && at_s >= warmup_s + to_s(plan_.duration)) return false;
  return plan_.requests == 0 || begun_ < plan_.requests || at_s < warmup_s;
}

void LoadRun::begin(double intended_s) {
  std::size_t slot = slots_.size();
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const auto count = static_cast<std::uint16_t>(plan_.batch);
  const bool is_warmup = intended_s < to_s(plan_.warmup);
  UnderWay& request = slots_[slot];
  request = {};
  request.record = {.intended_s = intended_s,
                    .first_image = static_cast<std::uint32_t>(next_image_),
                    .images = count,
                    .is_warmup = is_warmup};
  request.pending = count;
  if (!is_warmup) ++begun_;
  ++shown_.under_way;
  engine_->send(requests_.make(slot << kImageBits, next_image_, count));
  next_image_ = (next_image_ + count) % images_.size();
}

void LoadRun::begin_what_is_due(double now_s) {
  while (!polls_.empty() && polls_.top().at_s <= now_s) {
    const std::uint64_t tag = polls_.top().tag;
    polls_.pop();
    const std::size_t image = (tag & ((1U << kImageBits) - 1)) - 1;
    engine_->send(requests_.poll(tag, slots_[tag >> kImageBits].locations[image]));
  }
  if (result_.records.size() + shown_.under_way >= kRecordsMax && !is_over_) is_over_ = result_.has_too_many = true;
  if (!arrivals_) {
    while (!is_over_ && shown_.under_way < static_cast<std::size_t>(plan_.concurrency)) {
      if (may_begin(now_s)) {
        begin(now_s);
      } else {
        is_over_ = true;
      }
    }
    return;
  }
  while (!is_over_ && (!arrival_s_ || *arrival_s_ <= now_s)) {
    if (arrival_s_) begin(*arrival_s_);
    arrival_s_ = arrivals_->next();
    if (!arrival_s_ || !may_begin(*arrival_s_)) is_over_ = true;
  }
}

double LoadRun::next_event_s() const {
  double next = std::numeric_limits<double>::max();
  if (arrivals_ && !is_over_ && arrival_s_) next = *arrival_s_;
  if (!polls_.empty()) next = std::min(next, polls_.top().at_s);
  return next;
}

void LoadRun::image_ended(UnderWay& request, std::size_t image, ImageAnswer answer, const ExchangeEnd& end) {
  LoadRecord& record = request.record;
  const LoadImage& sent = images_[(record.first_image + image) % images_.size()];
  // Bytes that are no UTF-8 come back as U+FFFD.
  if (!answer.name.empty() && answer.name != sent.name && answer.name != to_valid_utf8(sent.name)) {
    answer = {.error = "wrong_answer"};
  }
  if (answer.error.empty()) {
    ++record.ok;
    ++shown_.images;
    if (!result_.first_label_s) result_.first_label_s = since_begin(end.ended_at);
    if (image == 0) record.label = label_names_.index_of(answer.label, result_.labels);
    if (!sent.expected.empty() && !record.is_warmup)
      ++(answer.label == sent.expected ? result_.correct : result_.wrong);
  } else {
    record.error = static_cast<std::uint16_t>(error_names_.index_of(answer.error, result_.errors));
  }
  --request.pending;
  if (!hooks_.on_image) return;
  hooks_.on_image({.image = sent,
                   .status = end.response != nullptr ? end.response->status : 0,
                   .label = answer.label,
                   .answer = end.response != nullptr ? end.response->body : ByteView(),
                   .error = answer.error,
                   .is_transport_error = end.error != nullptr});
}

// The request had no answer: none of its images without one will get one.
void LoadRun::request_failed(UnderWay& request, const ExchangeEnd& end) {
  const ImageAnswer answer{.error = end.error->code};
  for (std::size_t image = 0; image < request.record.images; ++image) image_ended(request, image, answer, end);
}

void LoadRun::on_end(const ExchangeEnd& end) {
  const std::size_t slot = end.tag >> kImageBits;
  const std::size_t place = end.tag & ((1U << kImageBits) - 1);
  UnderWay& request = slots_[slot];
  LoadRecord& record = request.record;
  record.ended_s = since_begin(end.ended_at);
  if (end.response != nullptr) record.status = static_cast<std::uint16_t>(end.response->status);
  if (end.response != nullptr && !record.is_warmup) ++result_.calls;
  if (place > 0) {
    take_poll(slot, place - 1, end);
  } else {
    record.sent_s = since_begin(end.sent_at);
    if (end.response == nullptr) {
      request_failed(request, end);
    } else {
      answers_.read(*end.response, record.images, read_);
      for (std::size_t image = 0; image < read_.size(); ++image) {
        if (read_[image].location.empty()) {
          image_ended(request, image, std::move(read_[image]), end);
          continue;
        }
        request.locations.resize(record.images);
        request.locations[image] = std::move(read_[image].location);
        polls_.push({record.ended_s + to_s(plan_.poll_interval), (slot << kImageBits) + image + 1});
      }
    }
  }
  if (slots_[slot].pending == 0) finish(slot);
}

void LoadRun::take_poll(std::size_t slot, std::size_t image, const ExchangeEnd& end) {
  UnderWay& request = slots_[slot];
  const double now_s = request.record.ended_s;
  if (end.response != nullptr) {
    answers_.read(*end.response, 1, read_);
    // A document that is no result yet has no location of its own: the address is known.
    const bool is_pending = end.response->status == 202;
    if (!is_pending) return image_ended(request, image, std::move(read_.front()), end);
    if (plan_.timeout > Millis(0) && now_s - request.record.intended_s >= to_s(plan_.timeout)) {
      return image_ended(request, image, {.error = "timeout"}, end);
    }
    polls_.push({now_s + to_s(plan_.poll_interval), (slot << kImageBits) + image + 1});
    return;
  }
  image_ended(request, image, {.error = end.error->code}, end);
}

void LoadRun::finish(std::size_t slot) {
  const LoadRecord& record = slots_[slot].record;
  ++(record.is_ok() ? shown_.ok : shown_.failed);
  --shown_.under_way;
  result_.duration_s = std::max(result_.duration_s, record.ended_s);
  result_.records.push_back(record);
  free_slots_.push_back(slot);
}

void LoadRun::progress(double now_s) {
  if (!hooks_.on_progress || clock_.mono_now() < progress_at_) return;
  progress_at_ = clock_.mono_now() + kProgressEvery;
  shown_.now_s = now_s;
  shown_.is_warmup = now_s < to_s(plan_.warmup);
  hooks_.on_progress(shown_);
}

Result<LoadResult> LoadRun::run(const std::stop_token& stop) {
  auto engine = Engine::make(plan_.target,
                             {.connections_max = static_cast<std::size_t>(plan_.concurrency),
                              .timeout = plan_.timeout,
                              .response_bytes_max = kAnswerBytesMax,
                              .ca_bundle = plan_.ca_bundle},
                             clock_);
  if (!engine) return fail(engine.error());
  engine_ = *std::move(engine);
  const std::stop_callback wake(stop, [this] { engine_->wake(); });
  begin_ = clock_.mono_now();
  const Engine::OnEnd take = [this](const ExchangeEnd& end) { on_end(end); };
  while (!stop.stop_requested()) {
    const double now_s = since_begin(clock_.mono_now());
    begin_what_is_due(now_s);
    progress(now_s);
    if (is_over_ && shown_.under_way == 0) break;
    const double next_s = std::min(next_event_s(), now_s + to_s(kProgressEvery));
    engine_->work(instant(next_s), take);
  }
  result_.abandoned = shown_.under_way;
  result_.duration_s = std::max(result_.duration_s, stop.stop_requested() ? since_begin(clock_.mono_now()) : 0.0);
  result_.connections = engine_->connections_opened();
  return std::move(result_);
}

}  // namespace

Result<LoadResult> run_load(const LoadPlan& plan, std::span<const LoadImage> images, const LoadHooks& hooks,
                            Clock& clock, std::stop_token stop) {
  if (images.empty()) return fail(ErrorKind::invalid, "no_images", "There is no image to send.");
  return LoadRun(plan, images, hooks, clock).run(stop);
}

}  // namespace imgrec::load
