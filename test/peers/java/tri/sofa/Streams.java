// A service of SOFARPC whose methods are streams, as its triple protocol has them.
package com.example;

import com.alipay.sofa.rpc.transport.SofaStreamObserver;

public interface Streams {
  /** So many messages, in order; "N fail" ends them with an exception. */
  void count(String request, SofaStreamObserver<String> out);

  /** Says each message again, with the server's name. */
  SofaStreamObserver<String> chat(SofaStreamObserver<String> out);
}
