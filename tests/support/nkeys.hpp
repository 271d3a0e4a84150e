// Identities of NATS, made by the test: nkeys (Ed25519 keys in NATS' spelling) and the JWTs that operators, accounts
// and users hand down. As the public documents of nkeys and of the JWT's second version say. Threads: [any].
#pragma once
#include <string>

typedef struct evp_pkey_st EVP_PKEY;

namespace weir::test {

class NKey {
 public:
  enum class Kind : int { operators = 14 << 3, account = 0, user = 20 << 3 };
  explicit NKey(Kind kind);
  NKey(const NKey&) = delete;
  NKey& operator=(const NKey&) = delete;
  ~NKey();
  std::string public_key() const;  // O..., A..., U...
  std::string seed() const;        // SO..., SA..., SU...
  // A JWT about `subject` in which this key says `claims`, the object under "nats".
  std::string jwt(const NKey& subject, const std::string& name, const std::string& claims) const;

 private:
  const Kind kind_;
  EVP_PKEY* key_ = nullptr;
};

// The text of a .creds file.
std::string credentials(const std::string& jwt, const std::string& seed);

}  // namespace weir::test
