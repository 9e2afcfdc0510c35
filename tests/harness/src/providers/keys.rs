//! The keys of the Google of tests: made once for these tests with openssl, and secret to nobody.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

/// A key that signs ID tokens.
pub(super) struct Key {
    pub(super) id: &'static str,
    private: &'static str,
    /// What anybody may have, and might use as if it were a shared secret.
    pub(super) public: &'static str,
    modulus: &'static str,
}

/// The exponent of both keys, 65537.
const EXPONENT: &str = "AQAB";

pub(super) const FIRST: Key =
    Key { id: "test-key-1", private: FIRST_PRIVATE, public: FIRST_PUBLIC, modulus: FIRST_MODULUS };

pub(super) const SECOND: Key =
    Key { id: "test-key-2", private: SECOND_PRIVATE, public: SECOND_PUBLIC, modulus: SECOND_MODULUS };

impl Key {
    pub(super) fn signing(&self) -> EncodingKey {
        let lines = self.private.lines().filter(|line| !line.starts_with("-----"));
        EncodingKey::from_rsa_der(&STANDARD.decode(lines.collect::<String>()).unwrap())
    }

    /// The key as it is published.
    pub(super) fn published(&self) -> Value {
        json!({ "kid": self.id, "kty": "RSA", "alg": "RS256", "use": "sig", "n": self.modulus, "e": EXPONENT })
    }
}

const FIRST_PRIVATE: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAvjaWdDXaWtbRZNL+8uP+nfRsjv4J2QHdXhJFWOvlsqkcdrFl
xs5A/gHmIhnwS768Z8axcQREyG8d3hPS2BZy8THf5xlC461D6+VBZTGLa93+qIZo
Yaf64bjCqlbcPpjGs9R8H9JuE7wEqy55sQOBA6snh6y/XJEgda2S4gnRKBuj4Ih9
u/z3cjau1Wxu1yVj5DpDZjMh2Q669njQqS0Mb0mRN6h6aH5t8IQe2Jm/+x/eJRhT
oFEpQeyQQLnUnxtNamZhXelJxkdVzYwNyi0Hv6n3MBoAqidS0J1DqjxzriCIhdhR
aDJtC5XULVVxy6h+5gV7UdGhcKyAOIpnf826oQIDAQABAoIBAB38Bu2cy6YENQ/6
vtvVGv8VV8OWwkCmLZo1sR7aWOQ4ClefkVasjsw7ymZXxmx6TcLiLHiPXrRl58Rp
RZRwvX/OB+irL8MqPgnCovNrwvmnDgzM20mBrGfGs1Eczi1D8hbJCSQPDPEpc2b0
tZQ05DKK2Xlmvue9rOtACGZ/e6whobAysHKMulo1sJv3+fU2UiOtVNGLlksJzGrU
Yz4IIF1T8yUlx+8vi6zEWw+nmbblSrUtcdmsdntDtkxNqEgjCSzNWTXafWmZLSVa
KfX0d2ukXcbch44BR3pJ+FMKfuf6rVxvAMS45kUHtxj0g23lD/wCSf40CSzs6W2v
Iw9mpZECgYEA5D5R0iyu6dU/UWB5ZPQOq9dSwG0qT90jhk8ZGi5Y/tXngrP/s0pe
17pnnaZhlslyk/Ugs46bLH0n9MXSSILsxiuFXLflhCkgK5D1469Pd5pmNXyQ/XtB
oOyU+SmgwxTOapZGn8dxx9medSGKFJ8thclp39f8pozQcAMhYJ9nkUUCgYEA1VhP
lScmrjZm1DwdY5wpfkns4GVJjI90ktOC8qjV09OCNYpApq6HMcvBd83rT0Suz6oa
ZAACpvaFYVJQ+IbZ0sDvY99JywOA8tDizPRr4404nsGT570c0WWFPYR6b8m53IoJ
jHcObeNwhDlTEsZTbXN6oBj3kDBzqER2XV6Vw60CgYBRTmnzRvugTNjbclSMQ+ye
BnxyE/FItewbwj2c9/m3/hcUlm52Pf3/N2YF4OlOv8BTOLVHgXuBo6wCJB4+unUC
Oyqs1s2qAMR3AJK3YxIZ9ySF1TQJOEkuvFhtUgj0tYq6qYHLFU9Q9BLgguwfYHzk
9dUDanuUEQGHhXX0Z5SLSQKBgBx28+dKmfaUe5PFkYZAx6h55Ijr+qwuV7dfURFf
RWhFyBGsqIOUtaUHMoDxkHu7Bjfe0jaVacUtDw61FOiT1WwxIb+Jgyb7CLFc/WWr
Ftn9dZh462r36GhnyycyDcPsfkfWgv+iwuIWfmSl4VeX7nmj9rB1pFIwpL3GpKRA
gmrhAoGBAL78YnK/eIv73OxArR3KcR0SIHJoyRmaIal9IdyT0/OXSyAqPC2r+/8B
ak0M/7SrnkMx+duGTxnxSkHBA1Mlw385Moz5c4wUcS++WWS0JFor99Tz1d7haFVd
sX6iPMb72QAoon15NGU907HJ9l7+C8L0PB27mK+gB4xtIC1k18J4
-----END RSA PRIVATE KEY-----
";

const FIRST_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvjaWdDXaWtbRZNL+8uP+
nfRsjv4J2QHdXhJFWOvlsqkcdrFlxs5A/gHmIhnwS768Z8axcQREyG8d3hPS2BZy
8THf5xlC461D6+VBZTGLa93+qIZoYaf64bjCqlbcPpjGs9R8H9JuE7wEqy55sQOB
A6snh6y/XJEgda2S4gnRKBuj4Ih9u/z3cjau1Wxu1yVj5DpDZjMh2Q669njQqS0M
b0mRN6h6aH5t8IQe2Jm/+x/eJRhToFEpQeyQQLnUnxtNamZhXelJxkdVzYwNyi0H
v6n3MBoAqidS0J1DqjxzriCIhdhRaDJtC5XULVVxy6h+5gV7UdGhcKyAOIpnf826
oQIDAQAB
-----END PUBLIC KEY-----
";

const FIRST_MODULUS: &str = "vjaWdDXaWtbRZNL-8uP-nfRsjv4J2QHdXhJFWOvlsqkcdrFlxs5A_gHmIhnwS768Z8axcQREyG8d3hPS\
    2BZy8THf5xlC461D6-VBZTGLa93-qIZoYaf64bjCqlbcPpjGs9R8H9JuE7wEqy55sQOBA6snh6y_XJEg\
    da2S4gnRKBuj4Ih9u_z3cjau1Wxu1yVj5DpDZjMh2Q669njQqS0Mb0mRN6h6aH5t8IQe2Jm_-x_eJRhT\
    oFEpQeyQQLnUnxtNamZhXelJxkdVzYwNyi0Hv6n3MBoAqidS0J1DqjxzriCIhdhRaDJtC5XULVVxy6h-\
    5gV7UdGhcKyAOIpnf826oQ";

const SECOND_PRIVATE: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAxI9ZHDfJZrPJ4/QNNIyE5E0XTYi8VwbxpsTdvCKJWmoTPOsp
255uOIrKglBk+3raql6ImJW0hZh4iyHLnUFya+RaTXn3MZB70ZexiwQHaOHocbrR
zHu5pdHdZZQOrdtsnNsEQX8iQTUeVT78glpx9vzYdB0lVUaCIASMeYMZ2GkI4O8s
Gq17FC17Motf6XUb1jtLTFr7BpvEV1fDetftYMk3IaL2f4TSObq+rIbUGkMKoUI6
LhLKUbwwtfgyxoQK1P6L9zn6tTWstIDJBbG6j/SVnRypB7nwBu+75XcLPMwWDjpc
im0sp46zlZJ+Ds6C8tzRgWjDD7kGxPsBX0Wn2wIDAQABAoIBAEYMXfHf8a7fmK3b
jg8xmrRvwsO3XINZLqpDk0/WMQPfNJ7roZ2qPtZ4o8XAF9TFSgMYMG7MPyqzFRZk
Q1d1+Ox5UzM0KYNo3a9qc3O6ylc21usc7GKGnzj4awGlu3t67KCTrtcWkyMQ5o/z
o/JigCXIouzybBkRSRNW+6bcMUw9NhS3f4HMH2OZGKcU7ujNLcf2kDfFivzsjYWB
N43XfkuoW9LHax3My7njFkNld56eEtL791oGHxEVwMypdXrXRsrCAyNzLn1PwjxZ
z3BQ8schdGfhjUHDdd0mhqGw7UCOXkSMofduly3uH1DRqAlo/azb/z7d9QLdpA/Q
vEv0PDECgYEA7/h6QdMtMYYkdNFO+hxSd+z+Ahoi10bUTtdcFtmxi+y9gAbB3Qp4
boVuSx1JRqfWzXIjYVtA/bzI42q/f6WMHpaFZ3a+eTFZbMwaoPKLClUzJYqUSqf4
1IsHn3qPP74GeChupfZlNe9xD8iBDsz2xzOUexByR716xkCh5qUTrSsCgYEA0bCL
L3vh5KPLBAVxJGT0k2Fc5T/9LAk5FNskrGHZe29K33IMsrH/go67V6RatAMqmBgW
lYt/Gk9DIdybBiId1eTm5XiSEHllNP6y3//PyG+hBpGl5s7NsHABFSSAkI7ZtdOR
lM6AhGrhk4ZLCrM6h5Gk/W8PEZDbNu00D3fheBECgYAW11HbvhwJILmLnPiledin
rZkn3hD+6LEAqCMN0b7CkNAgxYPiZEK+UlkDMVBuNz+M4pZXh/YRsMx2SQzdO4aw
yqb8CCNtKbNXVb4bH7r4Ss/JfP1MddyLbohVN7c23AGFomOVzHQpxBbA59bQ79V1
dIVniVM3XOO4xyIh8AiFbQKBgBCCffL3JgoCe3GNnCLpb/hKqi3CpARblYr21iRc
b+swEA0XxbgsG5oD8uwrnJifxzLCcsTDfvZrVzXLUMli1kaJB0T6AUYayMUraJoK
Yim94EfMH+vUTI2fw/YOMbEwDiQqzEOTHrtOTwR2hmIJSopyBTOPEvinFxt0Aa1W
GwKBAoGBALVNmHuZgVT6no6xgy6GQi8nBcswIuiX9OmLtYfxGTJQCkMZAV8LehPU
Rcqf2rZMMVCOSdPVQ//8+NHu9/nvF6Q9YKsuuM9YiqVtwDK4NJgQwLElK51cPSNP
XtwQYpASVU4qDfEbjTalZ6cjtn2Un/sN+TNIYza/5Id6mc8/kEPa
-----END RSA PRIVATE KEY-----
";

const SECOND_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxI9ZHDfJZrPJ4/QNNIyE
5E0XTYi8VwbxpsTdvCKJWmoTPOsp255uOIrKglBk+3raql6ImJW0hZh4iyHLnUFy
a+RaTXn3MZB70ZexiwQHaOHocbrRzHu5pdHdZZQOrdtsnNsEQX8iQTUeVT78glpx
9vzYdB0lVUaCIASMeYMZ2GkI4O8sGq17FC17Motf6XUb1jtLTFr7BpvEV1fDetft
YMk3IaL2f4TSObq+rIbUGkMKoUI6LhLKUbwwtfgyxoQK1P6L9zn6tTWstIDJBbG6
j/SVnRypB7nwBu+75XcLPMwWDjpcim0sp46zlZJ+Ds6C8tzRgWjDD7kGxPsBX0Wn
2wIDAQAB
-----END PUBLIC KEY-----
";

const SECOND_MODULUS: &str = "xI9ZHDfJZrPJ4_QNNIyE5E0XTYi8VwbxpsTdvCKJWmoTPOsp255uOIrKglBk-3raql6ImJW0hZh4iyHL\
    nUFya-RaTXn3MZB70ZexiwQHaOHocbrRzHu5pdHdZZQOrdtsnNsEQX8iQTUeVT78glpx9vzYdB0lVUaC\
    IASMeYMZ2GkI4O8sGq17FC17Motf6XUb1jtLTFr7BpvEV1fDetftYMk3IaL2f4TSObq-rIbUGkMKoUI6\
    LhLKUbwwtfgyxoQK1P6L9zn6tTWstIDJBbG6j_SVnRypB7nwBu-75XcLPMwWDjpcim0sp46zlZJ-Ds6C\
    8tzRgWjDD7kGxPsBX0Wn2w";
