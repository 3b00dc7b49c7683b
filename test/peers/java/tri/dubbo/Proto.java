// A service of Triple whose messages are those of protobuf, as gRPC sends them.
package com.example;

import com.google.protobuf.BytesValue;
import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import org.apache.dubbo.common.stream.StreamObserver;

public interface Proto {
  StringValue greet(StringValue guest);

  BytesValue echo(BytesValue bytes);

  void count(Int32Value howMany, StreamObserver<StringValue> out);
}
