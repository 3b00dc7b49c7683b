// A second service beside Greeter.
package com.example;

public interface Clock {
  String now(String zone);
}
