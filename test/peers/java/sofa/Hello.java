// The service that Java and Node peers offer and call.
package com.example;

public interface Hello {
  /** "hello NAME from SERVER". */
  String sayHello(String name);

  /** Answers after so many milliseconds. */
  String slow(int ms);

  /** Throws an exception of the application. */
  String fail(String text) throws IllegalStateException;

  /** The bytes it was given. */
  byte[] echo(byte[] data);

  /** As many bytes as asked for. */
  byte[] make(int size);

  /** Remembers what it was given; called one-way. */
  void note(String text);

  /** What `note` was given last. */
  String noted();

  /** An object in, an object out. */
  Person older(Person who, int years);
}
