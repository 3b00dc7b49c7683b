// A service of Triple as Dubbo applications write it, without protobuf: calls, and streams by observers.
package com.example;

import org.apache.dubbo.common.stream.StreamObserver;

public interface Talk {
  String hello(String guest);

  /** Answers with the server's name after so many ms. */
  String slow(int ms);

  String fail(String text);

  String refuse(String text) throws Refusal;

  byte[] echo(byte[] bytes);

  /** Attachments of the call, "name=value" joined by commas. */
  String attachments();

  /** So many messages, in order; "N fail" ends them with an exception, "N wait" never. */
  void count(String request, StreamObserver<String> out);

  /** Says each message again, with the server's name; "leave" makes it the server that ends. */
  StreamObserver<String> chat(StreamObserver<String> out);
}
