#include "lib/http/server/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kPemBytesMax = kMiB;
constexpr int kChainMax = 20;
/// So much is received at once: each record would cost two calls of the kernel else. Given back while nothing comes.
constexpr std::size_t kReadAheadBytes = 64 * kKiB;

struct FreeOfOpenssl {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeOfOpenssl>;
using Certificate = std::unique_ptr<X509, FreeOfOpenssl>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeOfOpenssl>;

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown reason";
}

std::unexpected<Error> wrong(const std::filesystem::path& file, const std::string& what) {
  return fail(ErrorKind::invalid, "bad_certificate", file.string() + " " + what + ".");
}

Bio reader_of(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// A key with a password would make OpenSSL ask on the terminal.
int no_password(char*, int, int, void*) {
  return -1;
}

// The one protocol spoken here; a client that offers others alone is refused, rather than misunderstood.
int select_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_length, const unsigned char* offered,
                    unsigned int offered_length, void*) {
  static constexpr std::array<unsigned char, 9> kHttp11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  const int outcome =
      SSL_select_next_proto(&found, chosen_length, kHttp11.data(), kHttp11.size(), offered, offered_length);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

std::shared_ptr<SSL_CTX> new_context() {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Of TLS 1.2 those with forward secrecy and authenticated encryption; all of TLS 1.3 have both.
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAheadBytes);
  // Resumption is by tickets alone: no memory is kept for clients that do not come back.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
  return context;
}

Result<Certificate> use_certificates(SSL_CTX* context, const std::filesystem::path& file, std::string_view pem) {
  const Bio bio = reader_of(pem);
  Certificate own(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_password, nullptr));
  if (!own) return wrong(file, "holds no certificate in PEM form (" + openssl_reason() + ")");
  if (SSL_CTX_use_certificate(context, own.get()) != 1) return wrong(file, "is refused: " + openssl_reason());
  for (int i = 0; i < kChainMax; ++i) {
    Certificate next(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
    if (!next) break;
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return wrong(file, "is refused: " + openssl_reason());
    [[maybe_unused]] X509* const taken = next.release();  // it belongs to the context now
  }
  // The end of the file is where no further one begins.
  const unsigned long end = ERR_peek_last_error();
  if (end != 0 && ERR_GET_REASON(end) != PEM_R_NO_START_LINE) return wrong(file, "is damaged: " + openssl_reason());
  ERR_clear_error();
  return own;
}

std::string text_of(const ASN1_TIME* time) {
  const Bio bio(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(bio.get(), time);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(std::max(size, 0L))};
}

}  // namespace

Result<std::shared_ptr<TlsCertificate>> TlsCertificate::load(std::filesystem::path certificate,
                                                             std::filesystem::path key) {
  std::shared_ptr<TlsCertificate> made(new TlsCertificate(std::move(certificate), std::move(key)));
  if (auto read = made->reload(); !read) return fail(read.error());
  return made;
}

Result<bool> TlsCertificate::reload() {
  std::lock_guard reading(reading_);
  const auto certificate = read_file(certificate_, kPemBytesMax);
  if (!certificate) return fail(certificate.error());
  const auto key = read_file(key_, kPemBytesMax);
  if (!key) return fail(key.error());
  std::string seen = hex_of(view(sha256({view(sha256({*certificate})), view(sha256({*key}))})));
  if (seen == seen_) return false;
  seen_ = std::move(seen);
  const auto context = new_context();
  ERR_clear_error();
  const auto own = use_certificates(context.get(), certificate_, *certificate);
  if (!own) return fail(own.error());
  const PrivateKey private_key(PEM_read_bio_PrivateKey(reader_of(*key).get(), nullptr, no_password, nullptr));
  if (!private_key)
    return wrong(key_, "holds no private key in PEM form without a password (" + openssl_reason() + ")");
  if (SSL_CTX_use_PrivateKey(context.get(), private_key.get()) != 1) {
    return wrong(key_, "is not the key of the certificate in " + certificate_.string() + " (" + openssl_reason() + ")");
  }
  const ASN1_TIME* const end = X509_get0_notAfter(own->get());
  if (X509_cmp_current_time(end) < 0) {
    log::warning("the certificate has expired", {{"file", certificate_.string()}, {"expired_at", text_of(end)}});
  }
  log::info("certificate read", {{"file", certificate_.string()}, {"valid_until", text_of(end)}});
  std::lock_guard lock(mutex_);
  context_ = context;
  return true;
}

std::shared_ptr<ssl_ctx_st> TlsCertificate::context() const {
  std::lock_guard lock(mutex_);
  return context_;
}

}  // namespace imgrec
