// A checked exception of the service.
package com.example;

public class Refusal extends Exception {
  private static final long serialVersionUID = 1;

  public Refusal() {}

  public Refusal(String message) {
    super(message);
  }
}
