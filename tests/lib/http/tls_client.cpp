#include "tests/lib/http/tls_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "lib/base/file.hpp"
#include "tests/lib/http/raw_client.hpp"

namespace imgrec::test {
namespace {

std::string pem_of(const std::function<void(BIO*)>& write) {
  const std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free_all(bio); })> bio(BIO_new(BIO_s_mem()));
  write(bio.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

void write_certificate(const std::filesystem::path& certificate, const std::filesystem::path& key,
                       const std::string& name) {
  EVP_PKEY* const pair = EVP_EC_gen("P-256");
  X509* const made = X509_new();
  X509_set_version(made, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
  X509_gmtime_adj(X509_getm_notBefore(made), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made), 24L * 3600);
  X509_set_pubkey(made, pair);
  X509_NAME* const subject = X509_get_subject_name(made);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(made, subject);
  if (X509_sign(made, pair, EVP_sha256()) == 0) throw std::runtime_error("cannot make a certificate");
  const std::string key_pem =
      pem_of([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, pair, nullptr, nullptr, 0, nullptr, nullptr); });
  const std::string certificate_pem = pem_of([&](BIO* bio) { PEM_write_bio_X509(bio, made); });
  X509_free(made);
  EVP_PKEY_free(pair);
  if (!write_file_atomic(key, key_pem, WriteMode::replace) ||
      !write_file_atomic(certificate, certificate_pem, WriteMode::replace)) {
    throw std::runtime_error("cannot write a certificate");
  }
}

void TlsClient::Free::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}
void TlsClient::Free::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

TlsClient::TlsClient(int port, const TlsClientOptions& options)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), context_(SSL_CTX_new(TLS_client_method())) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to the socket with write(2)
  const timeval limit{10, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  if (options.version_max != 0) {
    SSL_CTX_set_min_proto_version(context_.get(), 0);
    SSL_CTX_set_max_proto_version(context_.get(), options.version_max);
    SSL_CTX_set_cipher_list(context_.get(), "ALL:@SECLEVEL=0");  // else the client refuses itself
  }
  if (!options.protocols.empty()) {
    SSL_CTX_set_alpn_protos(context_.get(), reinterpret_cast<const unsigned char*>(options.protocols.data()),
                            static_cast<unsigned>(options.protocols.size()));
  }
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_fd(ssl_.get(), fd_);
  connected_ = SSL_connect(ssl_.get()) == 1;
  ERR_clear_error();
}

TlsClient::~TlsClient() {
  ssl_.reset();
  ::close(fd_);
}

std::string TlsClient::peer_name() const {
  X509* const peer = connected_ ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  char name[256] = "";
  if (peer != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
  return name;
}

std::string TlsClient::protocol() const {
  const unsigned char* chosen = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &chosen, &length);
  return {reinterpret_cast<const char*>(chosen), length};
}

int TlsClient::version() const {
  return SSL_version(ssl_.get());
}

bool TlsClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t written = 0;
    if (!connected_ || SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) != 1) return false;
    bytes.remove_prefix(written);
  }
  return true;
}

std::string TlsClient::read_some() {
  if (!kept_.empty()) return std::exchange(kept_, {});
  std::string bytes(65536, '\0');
  std::size_t got = 0;
  if (!connected_ || SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &got) != 1) return {};
  bytes.resize(got);
  return bytes;
}

std::string TlsClient::read_response() {
  std::string bytes = std::exchange(kept_, {});
  std::size_t wanted = std::string::npos;
  while (bytes.size() < wanted) {
    const std::string piece = read_some();
    if (piece.empty()) return bytes;
    bytes += piece;
    const auto end = bytes.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const std::string length = header_of(bytes, "content-length");
    wanted = end + 4 + (length.empty() ? 0 : std::stoull(length));
  }
  kept_ = bytes.substr(wanted);
  bytes.resize(wanted);
  return bytes;
}

std::string TlsClient::read_all() {
  std::string all;
  for (std::string piece = read_some(); !piece.empty(); piece = read_some()) all += piece;
  return all;
}

bool TlsClient::was_ended() const {
  return connected_ && (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
}

}  // namespace imgrec::test
