// Every setting with its default and its unit. settings.cpp names them for files, environment and flags.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "lib/base/duration_range.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct LogConfig {
  std::string level = "info";   // debug, info, warning, error
  std::string format = "text";  // text, json
};

struct ModelConfig {
  std::string name = "resnet18";
  std::string dir;                 // empty: STATE_DIR/models
  std::string labels = "names";    // names, reference, or a file with one name per line
  int top_k = 5;                   // labels per image when the client does not say
  std::string engine = "auto";     // auto, openvino, opencv
  std::string precision = "auto";  // auto, f32, bf16, int8
  double agreement_min = 0.98;     // part of the answers that have to be those in f32, for a precision auto takes
  bool winograd = true;            // OpenVINO in f32: 3x3 convolutions of our own; false: the library's
};

/// Limits on what a client may make us decode.
struct ImageConfig {
  std::uint64_t bytes_max = 20 * kMiB;    // of an encoded image
  std::uint64_t pixels_max = 25'000'000;  // width x height
  int jpeg_scans_max = 100;               // a progressive photo has about 10; each costs a pass over the image
  std::string truncated = "refuse";       // refuse, accept: images of which pixels are missing at the end
  bool accepts_truncated() const { return truncated == "accept"; }
  std::string object_buckets{};   // whose objects requests may name; separated by commas, empty: none
  bool jpeg_fast_decoder = true;  // entropy decoding of our own; false: libjpeg's
};

struct QueueConfig {
  std::string request = "imgrec-requests";
  std::string response_prefix = "imgrec-responses";  // one queue per web node: PREFIX-NODE
  std::string dead_letter = "imgrec-dead";
  std::string shutdown_request = "imgrec-shutdown-request";      // FIFO: the controller asks workers to stop
  std::string shutdown_confirmed = "imgrec-shutdown-confirmed";  // FIFO: those that have stopped say so
  std::string signals = "imgrec-signals";  // what web nodes and workers tell the controller; empty: nothing
  bool fifo = false;
  int receives_max = 1'000;   // deliveries after which the queue gives up a message; see worker.attempts_max
  Millis visibility{30'000};  // lease of a received message; extended while it is worked on
};

struct WebConfig {
  std::string bind = "127.0.0.1";
  int port = 8000;    // 0: any free one
  std::string hosts;  // further names of this service, besides localhost, the machine's and addresses; see known_hosts
  std::string public_url;             // by which browsers reach it through a proxy: https://photos.example
  std::string trusted_proxies = "*";  // addresses whose X-Forwarded-… headers are believed
  std::string keys_file;        // of the users' keys; store: an object of the result store; empty: no key is needed
  bool open_metrics = false;    // /metrics needs no key
  std::string cors_origins;     // list of origins whose pages may use the service; *: any
  std::string tls_certificate;  // PEM file, with its chain; empty: no TLS
  std::string tls_key;          // PEM file
  std::string node;             // names the response queue; empty: a stable name for this machine
  int threads = 16;             // pool for blocking work (store, queue): as many images wait for the disk at a time
  int connections_max = 1024;
  int connections_reserve = 64;      // beyond those, for health, metrics and the page (GET and HEAD)
  int pending_jobs_max = 10'000;     // images of this node that are not answered; more are refused
  Millis queue_wait_max{4'000};      // an image that would wait longer is refused with 503 …
  int queue_jobs_min = 128;          // … unless fewer than this are pending
  Millis job_ttl{24 * 3'600'000};    // a job that no worker has answered by then is over
  Millis outage_max{3'000};          // store or queue fails for longer: clients of /v1 are refused; others are held
  Millis readiness_interval{2'000};  // /readyz tells what was found out less long ago
  Millis readiness_probe{10'000};    // /readyz writes to store and queue when nothing else did for so long
  int results_max = 5'000;           // results kept in memory for GET /results, of all sessions
  std::uint64_t results_bytes_max = 64 * kMiB;          // the same in bytes
  std::uint64_t results_session_bytes_max = 16 * kMiB;  // of one session
  std::uint64_t header_bytes_max = 16 * kKiB;
  std::uint64_t body_bytes_max = 64 * kMiB;       // of one request (several images)
  std::uint64_t buffered_bytes_max = 512 * kMiB;  // of all request bodies at once; more wait unread
  std::uint64_t body_bytes_floor = 64 * kKiB;     // of each body, never waits for others
  std::uint64_t body_rate_min = kKiB;             // bytes a second; a slower body is ended
  std::uint64_t stream_bytes_max = 256 * kKiB;    // of one streamed answer, waiting to be sent
  int images_per_request_max = 100;
  Millis header_timeout{10'000};  // from the first byte to the end of the headers
  Millis body_timeout{120'000};
  Millis memory_wait_max{5'000};  // an upload waits for memory; then the slowest one is ended
  Millis idle_timeout{75'000};    // keep-alive without a request
  Millis write_timeout{30'000};   // no progress in sending
  Millis wait_max{900'000};       // a client is held this long for its answer
  Millis drain_timeout{30'000};   // SIGTERM: time for requests in progress
};

struct WorkerConfig {
  std::string id;                      // empty: host name and process id
  std::string app_tier_id;             // "app-tier-1"; given by the fleet
  int threads = 0;                     // images at a time; 0: usable cores
  int prefetch = 20;                   // messages held beyond those being worked on, at most
  Millis poll_wait{20'000};            // long poll
  Seconds exit_when_idle{0};           // 0: never
  std::string base_app_tier;           // the fleet's worker of this App Tier ID obeys no exit_when_idle
  Millis shutdown_check{2'000};        // an idle worker looks so often for a request to stop; 0: never
  Seconds orphan_timeout{0};           // it ends when no work came and no controller led for so long; 0: never
  Millis drain_timeout{30'000};        // SIGTERM: time to finish; what is left is returned to the queue
  Millis answer_linger_max{500};       // a batch of answers waits no longer for more of them
  int attempts_max = 3;                // times that a suspect image is tried alone before it counts as poison
  int engine_failures_max = 3;         // failures of the engine in a row, after which the worker ends
  Millis outage_hold_max{60'000};      // messages are held so long while a store or queue fails, then returned
  Millis other_version_delay{60'000};  // a message of another version waits so long for other workers
  Millis removal_linger{1'000};  // finished messages are removed so much later, in batches, while there is other work
};

/// Results as the reference systems lay them out, beside the result documents.
struct ResultsConfig {
  std::string layout = "json";    // json: the documents alone; pair, labelled-image: roles/worker/result_layout.hpp
  std::string key = "job";        // job, timestamp-name, name: what the object is called
  std::string prefix = "named/";  // before its key; with its "/"
};

struct ControllerConfig {
  std::string policy = "slo";
  int min = 0;
  int max = 0;  // 0: usable cores
  Millis interval{250};
  Millis idle_cooldown{10'000};  // the queue has to be empty this long before instances go
  bool dry_run = false;
  Millis status_interval{1'000};   // the service's status is published so often at most; 0: never
  Millis lease{20'000};            // a controller that is gone for so long is replaced by another; 0: there is one
  Millis ready_timeout{600'000};   // a worker that is not ready so long after its launch is ended; 0: never
  Millis silent_timeout{300'000};  // a worker that has told nothing for so long is ended; 0: never
  Millis drain_timeout{60'000};    // a request to stop waits so long for a worker; 0: instances are told to end at once
  Millis started_after{0};         // running for so long an instance has started; 0: as soon as it runs
  Millis start_pause_min{1'000};   // between launches when instances end right after their start; doubles each time
  Millis start_pause_max{60'000};  // its limit
  Millis wanted_wait{30'000};      // an image should be answered within this time
  Millis keep_alive{300'000};      // one worker is kept through gaps between images that are no longer than this
  Millis boot_time{1'000};         // from a worker's launch to its first image, while none has been measured
  Millis image_time{1'000};        // of one busy worker for each image, while none has been measured
  double price = 0;                // dollars an hour of a worker machine whose type is not in `prices`; 0: nothing
  std::map<std::string, double> prices = {};  // dollars an hour by instance type
  double max_dollars_per_hour = 0;            // 0: no limit but max

  double price_of(const std::string& instance_type) const {
    const auto found = prices.find(instance_type);
    return found == prices.end() ? price : found->second;
  }
  /// Of all that may be launched.
  double dearest_price() const {
    double dearest = price;
    for (const auto& [type, dollars] : prices) dearest = std::max(dearest, dollars);
    return dearest;
  }
};

/// What a process tells about itself.
struct MetricsConfig {
  std::string port = "off";  // of the metrics listener; off, or a number: 0 is any free one
  std::string bind = "127.0.0.1";
  std::string dir;              // each process writes its metrics to a file in it; empty: none
  Millis file_interval{1'000};  // between two writes of that file
  int decisions_max = 1000;     // latest decisions of the controller that are kept
};

/// Lists are written with commas: "c7i.large,c7a.large".
struct AwsConfig {
  std::string region;            // empty: as AWS_REGION or the profile says, else us-east-1
  std::string endpoint_url;      // for every service; empty: AWS's own
  std::string sqs_endpoint_url;  // for one service; empty: endpoint_url
  std::string s3_endpoint_url;
  std::string ec2_endpoint_url;
  std::string queues = "create";        // create (those that are not there), check, use
  std::string buckets = "create";       // the same
  std::string input_bucket;             // images; needed
  std::string output_bucket;            // results; empty: input_bucket
  std::string sqs_kms_key;              // id, ARN or alias of the key that encrypts the queues; empty: SQS's own
  std::string s3_kms_key;               // the same for the objects put; empty: as the bucket says
  std::string input_prefix;             // before the keys of images, with its "/"
  std::string output_prefix;            // before the keys of results, with its "/"
  std::string fleet = "imgrec";         // instances of this service carry the tag imgrec:fleet with this value
  std::string fleet_kind = "ec2";       // ec2: instances of the controller's own; asg: those of an Auto Scaling group
  std::string auto_scaling_group;       // its name; needed with asg
  std::string launch_template;          // id or name; what is set below overrides what it says
  std::string launch_template_version;  // empty: the template's default
  std::string image_id;                 // ami-…, a Debian 12; needed without a launch template
  std::string prebaked_image;           // ami-… that `imgrec deploy --prebaked` made of it; empty: workers install
  std::string instance_types;           // list, tried in turn; needed without a launch template
  std::string subnets;                  // list, tried in turn; empty: the VPC's default
  std::string zones;                    // list, tried in turn, in the default VPC; only without subnets
  std::string security_groups;          // list; empty: the VPC's default
  std::string instance_profile;         // name or ARN; gives workers their role
  std::string key_name;                 // for ssh; empty: none
  std::string tags;                     // list of name=value: of what is made (queues, buckets, instances, volumes)
  bool spot = false;                    // Spot instances; workers end at the notice
  int worker_threads = 0;               // images at a time per instance; 0: its cores
  int worker_memory_percent = 90;       // of an instance's memory: more ends the worker, not the machine
  bool poweroff_on_exit = true;         // an instance whose worker has ended, or never started, ends itself
  std::string worker_proxy;             // http://host:port; empty: workers reach AWS without a proxy
  std::string worker_no_proxy;          // list of hosts that they reach without it
  std::string worker_ca_bundle;         // file of the workers' machines: AWS_CA_BUNDLE there
  std::string bundle_bucket;            // where the workers' program is; empty: input_bucket
  std::string bundle_key;               // object made by `imgrec bundle upload`; empty: the image has its own start
  std::string bundle_sha256;            // 64 hex digits; needed with bundle_key
};

/// What `imgrec deploy` makes beside the workers, and what it must not exceed.
struct DeployConfig {
  bool web = true;                  // a machine that runs web and controller, with an Elastic IP
  std::string allowed_cidr;         // list of ranges that may reach it; needed with web
  std::string web_type;             // empty: the first of aws.instance_types
  std::string web_subnets;          // list; empty: aws.subnets
  double web_price = 0;             // dollars an hour; 0: as controller.prices
  std::string address;              // allocation id of the Elastic IP; the stack gives it to the machine
  bool alarms = false;              // CloudWatch's alarms size the workers' group, as the policy alarm does
  int max_workers = 0;              // controller.max may not be more; 0: no limit
  double max_dollars_per_hour = 0;  // all machines together may not cost more; 0: no limit
};

struct LocalConfig {
  int worker_threads = 1;            // images at a time per child: one core is one "instance"
  std::string worker_executable;     // what runs as the children; empty: this program
  DurationRange boot_delay;          // a child starts so long after its launch, as a machine of a cloud boots
  Seconds retention{7 * 24 * 3600};  // images, results and messages nobody reads; 0: kept for ever
};

struct ClassifyConfig {
  int threads = 0;  // images at a time; 0: usable cores
};

struct Config {
  std::string platform = "local";  // where queues, stores and instances are: local, aws
  std::string state_dir;           // empty: $XDG_DATA_HOME/imgrec or ~/.local/share/imgrec; as root /var/lib/imgrec
  LogConfig log;
  ModelConfig model;
  ImageConfig image;
  QueueConfig queue;
  WebConfig web;
  WorkerConfig worker;
  ResultsConfig results;
  ControllerConfig controller;
  MetricsConfig metrics;
  AwsConfig aws;
  DeployConfig deploy;
  LocalConfig local;
  ClassifyConfig classify;
};

}  // namespace imgrec
